"""Commands without absl: a wrong argument is one sentence, too."""
import pytest

from deps_jax import run as classify
from nurture_jax.predict_file import __main__ as predict_file


@pytest.mark.parametrize(("command", "arguments", "sentence"), [
    (classify, [], "error: the following arguments are required: model, photos; see --help\n"),
    (classify, ["a.onnx", "b.jpg", "--top=few"],
     "error: argument --top: invalid int value: 'few'; see --help\n"),
    (predict_file, [], "error: the following arguments are required: model; see --help\n"),
    (predict_file, ["a.onnx", "b.mp4", "--age_days=3,5"],
     "error: argument --age_days: invalid float value: '3,5'; see --help\n"),
])
def test_a_wrong_argument_is_one_sentence(command, arguments, sentence, capsys):
    assert command.main(arguments) == 2
    assert capsys.readouterr().err == sentence
