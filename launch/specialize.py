"""From a finished run to a file for a device, in one command.

    python -m launch.specialize --workdir runs/c10 --max_latency_ms 2 --precision int8
"""
from absl import flags

from deps_jax.common.command.cli import run
from deps_jax.common.command.extras import needs
from deps_jax.common.command.outputs import output_folder

with needs("export"):
    from deps_jax.export.export import PRECISIONS, ExportSettings
    from deps_jax.search.specialize import specialize
    from deps_jax.search.timings import bar
    from launch import search_flags

flags.adopt_module_key_flags(search_flags)  # --help shows them
PRECISION = flags.DEFINE_enum("precision", "fp32", PRECISIONS, "int8 is weights only")
THREADS = flags.DEFINE_integer("threads", 1, "of onnxruntime", lower_bound=1)
OUT = flags.DEFINE_string("out", "", "folder; empty is WORKDIR/specialized")


def main(_):
    allowed, tables = search_flags.limits(PRECISION.value), search_flags.tables()
    search_settings = search_flags.settings()
    out = output_folder("out", OUT.value) if OUT.value else None
    trained = search_flags.trained()
    exported, text = specialize(
        trained, allowed, out or trained.folder / "specialized", tables=tables,
        settings=ExportSettings(precision=PRECISION.value, threads=THREADS.value),
        search_settings=search_settings, progress=bar)
    print(text)
    return 1 if exported.failures else 0


if __name__ == "__main__":
    run(main)
