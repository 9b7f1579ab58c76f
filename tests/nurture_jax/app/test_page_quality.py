"""Every state of the page, in every language: contrast, names, targets, headings, width."""
from pathlib import Path

import cv2
import pytest
from app_browser import served
from page_pictures import pictures
from page_states import PHONE, states

AUDIT = Path(__file__).with_name("audit.mjs").read_text(encoding="utf-8")
# Roles of what can be used, and of pictures: a screen reader has to call them something.
NAMED = {"button", "link", "textbox", "radio", "combobox", "progressbar", "img", "image", "Date",
         "table", "region"}


def unnamed(session):
    """Roles of controls and pictures without a name, as the browser tells a screen reader."""
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    told = [(node.get("role", {}).get("value"), node.get("name", {}).get("value", "").strip())
            for node in nodes if not node["ignored"]]
    used = [(role, name) for role, name in told if role in NAMED]
    assert len(used) >= 4, told
    return [role for role, name in used if not name]


@pytest.mark.parametrize("language, locale", [("en", "en-GB"), ("hi", "hi-IN")])
def test_every_state(browser, folder, tmp_path, language, locale):
    context = browser.new_context(viewport=PHONE, locale=locale, service_workers="block")
    page = context.new_page()
    session = context.new_cdp_session(page)
    names = []
    with served(folder) as (address, _):
        for name in states(page, address, tmp_path):
            names.append(name)
            if name in ("unsure", "refer", "refused"):  # each has a colour of its own
                assert page.locator(f".line.{name}").count() == 1, name
            found = page.evaluate(AUDIT)
            assert found["wrong"] == [], name
            texts, targets, rings = found["looked_at"]
            assert texts >= 8 and targets >= 5 and rings >= 4, name
            assert unnamed(session) == [], name
            assert page.get_attribute("html", "lang") == language
            assert page.locator("#research").is_visible(), name  # it says so on every screen
    context.close()
    assert len(names) == len(set(names)) >= 18


def test_the_audit_sees_what_is_wrong(page):
    """It would fail for each thing that it looks at."""
    assert page.evaluate(AUDIT)["wrong"] == []
    spoilt = {"contrast": "e.querySelector('h2').style.color = '#8aa'",
              "target": "e.querySelector('#record').style.cssText = "
                        " 'height: 30px; min-height: 0; padding: 0; align-self: start'",
              "focus ring 2.79": "e.querySelector('#record').style.outlineColor = '#d58b00'",
              "focus ring 0.00": "e.querySelector('#age_days').style.outline = 'none'",
              "beside": "e.style.width = '500px'",
              "ids twice": "e.querySelector('h2').id = 'record'",
              "headings": "e.querySelector('h2').outerHTML = '<h4>x</h4>'"}
    for what, change in spoilt.items():
        page.reload()
        page.wait_for_selector("#record")
        page.evaluate(f"() => {{ const e = document.querySelector('main'); {change}; }}")
        wrong = page.evaluate(AUDIT)["wrong"]
        assert any(each.startswith(what) for each in wrong), (what, wrong)
    session = page.context.new_cdp_session(page)
    assert unnamed(session) == []
    page.evaluate("() => { document.querySelector('#record').textContent = ''; }")
    assert unnamed(session) == ["button"]


@pytest.mark.long
def test_pictures_of_every_state(tmp_path):
    written = pictures(tmp_path, ["hi"])
    assert {"form", "result", "curve", "refused"} <= {path.stem for path in written}
    for path in written:
        assert cv2.imread(str(path)).shape[1] == 2 * PHONE["width"], path
