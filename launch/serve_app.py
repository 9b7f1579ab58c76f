"""Shows a built page on this machine, at an address that it prints, until it is stopped.

    python -m launch.serve_app runs/page
"""
from absl import flags

from deps_jax.common.command.cli import run
from nurture_jax.app.serve import server

PORT = flags.DEFINE_integer("port", 8000, "of localhost; 0 takes a free one", lower_bound=0,
                            upper_bound=65535)


def main(arguments):
    if len(arguments) != 2:
        raise ValueError(f"{len(arguments) - 1} folders were given; give one: "
                         f"python -m launch.serve_app FOLDER")
    running = server(arguments[1], port=PORT.value)
    print(f"http://localhost:{running.server_address[1]}/ (Ctrl-C ends it)", flush=True)
    try:
        running.serve_forever()
    except KeyboardInterrupt:
        running.server_close()


if __name__ == "__main__":
    run(main, arguments=1)
