"""The layout of both packages: rooms and the files in them, from the ground up.

A file imports from rooms above it in its table, and in its own room from files to its left.
"""
import ast
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
WINGS = {
    "deps_jax": {
        "common": "lazy",
        "common.files": "one_writer sealed locks checksums workdir tensors",
        "common.compiled": "freed machine cpp described programs",
        "common.processes": "together start",
        "common.loop": "metrics goodput peak optim parallel profile reading batches state "
                       "saved_steps checkpoint writer fit run kills",
        "common.nn": "by_platform dispatch precision depthwise_shifted depthwise_native "
                     "depthwise_cpp depthwise moments pieces operations",
        "common.statistics": "intervals",
        "common.command": "arguments few outputs mendable page settings named source vectors cli "
                          "extras",
        "data": "boxes colour augment mix policies images sources folder pipeline load listing",
        "space": "rows block search_space plain subnet subnet_text ofa candidate layers cost",
        "space.families": "mobilenet_v3 proxyless resnet50d net_config",
        "supernet": "tensors elastic supernet zero_scales masks packing channel_sorting network "
                    "convert initial_weights",
        "evaluation": "recalibration linear_probe meter certainty report",
        "training": "losses samplers rates phases method sandwich progressive methods shrink task "
                    "gradients train trainer run_records experiment",
        "runs": "trained evaluate_run finetune own_photos measured",
        "comparison": "equal_cost plan one_run tuning summary picture report run_all",
        "export": "device_timer onnx_writer traced_values traced_rules traced_loop traced runtime "
                  "model_card stablehlo static_int8 export export_front",
        "search": "front_report timings piece_names latency ofa_files gaussian_process "
                  "accuracy_predictor genome local_search search learning search_run specialize",
        "reference": "bench_report golden program torch_net torch_step bench depthwise_forms "
                     "accelerator data_bench search_bench scaling scaling_page "
                     "scaling_check",
        "": "run",
    },
    "nurture_jax": {
        "": "measures rules reference_objects",
        "growth": "student_t score_types newborn_size postnatal_preterm weight_classes who_by_age "
                  "zscores",
        "records": "problems orientation colour video_file video annotations visit dates "
                   "across_rows visit_table visits negatives splits frame_list coco_exports",
        "clips": "clip_augment clip_cache clip_batches panning textures negatives",
        "synthetic.world": "population pose paint rulers dress render scene",
        "synthetic.ellipsoids": "body parts measures skin hits lying",
        "synthetic.anny": "source tape shape skeleton skin mesh lying",
        "synthetic.objects": "things",
        "synthetic": "bodies video visit dataset negatives sheet __main__",
        "network": "backbones backbone_weights geometry thickness in_space scaling fusion model "
                   "frame_cost",
        "evaluation": "estimates groups covariates quantiles baselines reference_quality "
                      "uncertainty annotator_agreement intervals coverage agreement "
                      "detection decisions forecast evaluate",
        "clinic": "thresholds advice assessment plain_text cells evidence familiarity scale checks "
                  "pictures recording_gate",
        "training": "losses distillation train refit held_out_scales best training_data run_data "
                    "model_file teacher messages experiment",
        "once_for_all": "network task experiment subnets choose",
        "report": "reference_card facts flow content model_card plots page report side_by_side",
        "runs": "calibration inference ablation size_ablation once_comparison observed other_data "
                "evaluate_run drawn predict predict_table gate_test ruler_test bench",
        "deploy": "file_model card graph clip_latency compared export compressed file_bench",
        "predict_file": "__main__",
        "app": "handed_over packages serve build",
    },
}
MOST_FILES = 15
WITH_ABSL = "deps_jax.common.command.cli"  # the one that knows flags and configs


def modules(package: str) -> list[str]:
    """The files of a package in the order of its table."""
    return [".".join(filter(None, (package, room, name)))
            for room, names in WINGS[package].items() for name in names.split()]


# `nurture_jax` stands on `deps_jax`, and never the other way.
ORDER = [*modules("deps_jax"), *modules("nurture_jax")]
PLACE = {name: i for i, name in enumerate(ORDER)}
ROOMS = [f"{package}.{room}" for package in WINGS for room in WINGS[package] if room]


def imported(module: str) -> set[str]:
    """Modules of ours that a file imports, rooms that it imports from as a whole included."""
    tree = ast.parse(ROOT.joinpath(*module.split(".")).with_suffix(".py").read_text())
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module} imports relatively"
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name in PLACE or name in ROOMS else node.module for name in whole}
    return names


@pytest.mark.parametrize("package", WINGS)
def test_the_table_is_the_tree(package):
    found = {".".join(path.relative_to(ROOT).with_suffix("").parts)
             for path in (ROOT / package).rglob("*.py") if path.name != "__init__.py"}
    assert found == set(modules(package))


@pytest.mark.parametrize("package", WINGS)
def test_no_room_is_crowded(package):
    assert max(len(names.split()) for names in WINGS[package].values()) <= MOST_FILES


@pytest.mark.parametrize("module", ORDER)
def test_imports_point_down(module):
    room = module.rpartition(".")[0]
    for name in imported(module):
        assert name.partition(".")[0] not in ("absl", "ml_collections") or module == WITH_ABSL
        if name in PLACE:
            assert PLACE[name] < PLACE[module], f"{module} imports {name}"
        elif name.startswith(("deps_jax", "nurture_jax")):  # the public names of a room
            inside = [place for other, place in PLACE.items() if other.startswith(f"{name}.")]
            assert inside and max(inside) < PLACE[module] and name != room, f"{module}: {name}"


@pytest.mark.parametrize("room", ROOMS)
def test_public_names_exist(room):
    """They are read out of their files when they are asked for."""
    module = import_module(room)
    assert module.__doc__
    for name in getattr(module, "__all__", ()):
        assert getattr(module, name) is not None
