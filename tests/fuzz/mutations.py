"""Damage: bytes, text and JSON that are nearly what a parser expects."""
import copy
import json

# Values that are valid JSON and rarely what a field means.
ODD = (None, True, False, 0, -1, 1, 2, 7, 1e-300, -0.5, 1e308, float("inf"), float("nan"), 2**31,
       2**63, 10**30, "", " ", "x", "0", "-1", "1e999", "\x00", "ä\ud800", "../../x", "a" * 5000,
       [], [[]], [None], [1, "2"], {}, {"a": 1}, {"counts": "0", "size": [1, 1]}, [1e400] * 6,
       [-1, -1, -1], ["a", "b"], [[[[]]]])
ODD_BYTES = (b"", b"\0", b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xef\xbb\xbf", b"\r\n", b'"', b",",
             b"[", b"{", b"}", b"\xff\xfe", b"-", b"9" * 40, b"\0" * 64, b"nan", b"1e999", b"=1+1",
             b"'")


def of_bytes(random, data, most=4):
    """One to `most` changes of bytes: cut, flipped, repeated, moved, put in."""
    data = bytearray(data)
    for _ in range(random.randint(1, most)):
        size = len(data)
        at, to = sorted((random.randint(0, size), random.randint(0, size)))
        near = min(size, at + random.randint(1, 64))
        kind = random.randint(0, 8)
        if kind == 0:
            del data[at:]
        elif kind == 1 and size:
            data[min(at, size - 1)] ^= 1 << random.randint(0, 7)
        elif kind == 2 and size:
            data[min(at, size - 1)] = random.choice((0, 1, 127, 128, 255))
        elif kind == 3:
            del data[at:near]
        elif kind == 4:
            data[at:at] = data[at:near]
        elif kind == 5:
            data[at:at] = random.choice(ODD_BYTES)
        elif kind == 6:
            data[at:near] = bytes(near - at)
        elif kind == 7:
            data[at:at] = data[to:to + 256]
        else:
            data[at:near] = random.randbytes(near - at)
    return bytes(data)


def of_text(random, text, alphabet, most=4):
    """One to `most` changes of letters."""
    for _ in range(random.randint(1, most)):
        at = random.randint(0, len(text))
        to = min(len(text), at + random.randint(0, 4))
        kind = random.randint(0, 4)
        if kind == 0:
            text = text[:at] + text[to:]
        elif kind == 1:
            text = text[:at] + random.choice(alphabet) + text[to:]
        elif kind == 2:
            text = text[:at] + text[at:to] * 3 + text[to:]
        elif kind == 3:
            text = text[:at] + random.choice(alphabet) * random.choice((1, 2, 30)) + text[at:]
        else:
            text = text[to:] + text[:at]
    return text


def of_json(random, value, most=3):
    """One to `most` places of plain values changed: other values, fields gone, moved or new."""
    value = copy.deepcopy(value)
    for _ in range(random.randint(1, most)):
        places = list(_places(value))
        if not places:
            return random.choice(ODD)
        holder, key = random.choice(places)
        kind = random.randint(0, 5)
        if kind <= 2:
            holder[key] = copy.deepcopy(random.choice(ODD))
        elif kind == 3:
            del holder[key]
        elif kind == 4:
            other, place = random.choice(places)
            holder[key] = copy.deepcopy(other[place])
        elif isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        else:
            holder[random.choice(("x", "", str(key) + "s"))] = copy.deepcopy(holder[key])
    return value


def json_bytes(random, value):
    """The file of a changed value; one in four is damaged as bytes, too."""
    data = json.dumps(of_json(random, value)).encode("utf-8", "replace")
    return data if random.randint(0, 3) else of_bytes(random, data)


def _places(value):
    """Yields (container, key) of everything in it."""
    items = value.items() if isinstance(value, dict) else (
        enumerate(value) if isinstance(value, list) else ())
    for key, part in list(items):
        yield value, key
        yield from _places(part)
