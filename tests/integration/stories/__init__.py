import pytest

pytest.register_assert_rewrite("tests.integration.stories.kit", "tests.integration.invariants")
