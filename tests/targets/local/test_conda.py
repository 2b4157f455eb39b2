"""A conda.yaml gives its packages as plain requirements, and nothing that would do harm."""

import pytest

from deployments.domain.errors import ResourceFailed
from deployments.targets.local.conda import conda_requirements


def test_the_pip_part_of_a_conda_file() -> None:
    text = """
    name: project
    dependencies:
      - python=3.11
      - conda-forge::lightgbm=4.5
      - pip
      - pip:
          - xgboost==2.1.3
          - https://example.org/evil.whl
    """
    assert set(conda_requirements(text)) == {"xgboost==2.1.3", "lightgbm==4.5.*"}
    with pytest.raises(ResourceFailed, match="dependencies"):
        conda_requirements("just: text")


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [" + "x, " * 9 + "x]\nb: &b [" + "*a, " * 9 + "*a]\ndependencies:\n- pip: [*b, *b]",
        "dependencies: " + "[" * 5_000,
        "dependencies:\n- pip: 3",
        "[]",
    ],
)
def test_a_conda_file_made_to_do_harm_is_refused(text: str) -> None:
    with pytest.raises(ResourceFailed, match="dependencies"):
        conda_requirements(text)


def test_of_a_conda_file_only_plain_lines_are_taken() -> None:
    text = """
    dependencies:
      - pip:
          - [nested, list]
          - {a: mapping}
          - "xgboost; os_name == 'a\\n-r other.txt\\n'"
          - "((((((((((((((((((((((((((((((("
          - catboost
    """
    assert conda_requirements(text) == ("catboost",)
