"""States and weights that are shown are those that were used: they can be differentiated, as the peer's."""

import pytest
import torch
from models import CONFIGS, scatter
from peer import largest_difference, peer_of

import distilbert

IDS = torch.tensor([[5, 6, 7, 8, 9], [3, 4, 5, 0, 0], [6, 0, 0, 0, 0]])
MASK = (IDS != 0).long()


@pytest.mark.parametrize("packing", [True, False])
@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("padded", [True, False])
def test_of_hidden_states(implementation: str, packing: bool, padded: bool) -> None:
    config = distilbert.DistilBertConfig.from_dict(
        CONFIGS["usual"].to_dict(), attn_implementation=implementation
    )
    ours = scatter(distilbert.DistilBertForSequenceClassification(config)).eval()
    theirs = peer_of(ours)
    ours.set_attention(implementation, packing=packing)
    found = []
    for model in (ours, theirs):
        output = model(IDS, MASK if padded else None, output_hidden_states=True)
        found.append(torch.autograd.grad(output.logits[:, 1].sum(), output.hidden_states))
    live = MASK[..., None] if padded else torch.ones_like(IDS)[..., None]
    for one, other in zip(*found, strict=True):
        assert largest_difference(one * live, other * live) <= 1e-5
        assert other.abs().max() > 1e-3
    output = ours(IDS, MASK, output_hidden_states=True)
    assert not output.hidden_states[1][MASK == 0].any()
    with torch.no_grad():
        quiet = ours(IDS, MASK, output_hidden_states=True)
    for one, other in zip(quiet.hidden_states, output.hidden_states, strict=True):
        assert largest_difference(one, other.detach()) <= 1e-5


@pytest.mark.parametrize("silenced", [False, True])
def test_of_attentions(silenced: bool) -> None:
    ours = scatter(distilbert.DistilBertForSequenceClassification(CONFIGS["usual"])).eval()
    theirs = peer_of(ours)
    theirs.set_attn_implementation("eager")
    head_mask = torch.tensor([1.0, 0.5, 0.0, 2.0]) if silenced else None
    found = []
    for model in (ours, theirs):
        output = model(IDS, MASK, head_mask=head_mask, output_attentions=True)
        found.append(torch.autograd.grad(output.logits[:, 1].sum(), output.attentions))
    live = MASK[:, None, :, None]
    for one, other in zip(*found, strict=True):
        assert largest_difference(one * live, other * live) <= 1e-5
        assert (other * live).abs().max() > 1e-3
