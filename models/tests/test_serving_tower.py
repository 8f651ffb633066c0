import itertools

import pytest
import torch

from dff.serving_tower import ServingTower
from dff.user_tower import UserTower


def random_tower(**changes) -> UserTower:
    torch.manual_seed(3)
    tower = UserTower(16, 7, **changes).eval()
    for parameter in tower.parameters():  # biases and norms start at 0 and 1, where mistakes would not show
        parameter.data += torch.randn_like(parameter) * 0.2
    return tower


FORMS = list(itertools.product((1, 2, 3), (False, True), (False, True), (False, True)))


@pytest.mark.parametrize(("blocks", "norm_first", "bias", "mean"), FORMS)
@pytest.mark.parametrize("length", [1, 4, 7])
def test_the_serving_form_is_the_same_function(blocks, norm_first, bias, mean, length):
    tower = random_tower(blocks=blocks, norm_first=norm_first, attention_bias=bias, history_mean=mean)
    vectors, mask = torch.randn(4, length, 16), torch.ones(4, length, dtype=torch.bool)
    mask[1, : length - 1] = False
    mask[2, : length // 2] = False
    with torch.no_grad():
        assert torch.allclose(ServingTower(tower)(vectors, mask), tower(vectors, mask), atol=1e-5)
