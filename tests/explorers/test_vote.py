"""The vote between a generated picture and a photo."""

import pytest
import torch

from pix2pix_lib.explorers.vote import VoteExplorer
from pix2pix_lib.validation import InputError


@pytest.fixture
def vote():
    """Eight trials; generated pictures are black, photos white."""
    return VoteExplorer(-torch.ones(8, 3, 16, 16), torch.ones(8, 3, 16, 16))


def find(vote, bright=True):
    """Answer all trials by brightness; return the last view."""
    for trial in range(1, 9):
        vote.set(trial=trial)
        means = {side: float(image.mean()) for side, image in vote.pictures(trial).items()}
        view = vote.vote((max if bright else min)(means, key=means.get))
    return view


def test_photo_is_now_left_now_right_and_the_seed_decides(vote):
    assert {"left", "right"} == set(vote.truth)
    again = VoteExplorer(vote.generated, vote.photos)
    assert again.truth == vote.truth
    assert any(VoteExplorer(vote.generated, vote.photos, s).truth != vote.truth for s in range(4))


def test_answers_are_counted_against_the_truth(vote):
    assert find(vote).numbers["right"] == 8
    assert find(vote, bright=False).numbers["right"] == 0


def test_nothing_is_revealed_before_all_trials_are_answered(vote):
    for _ in range(7):
        view = vote.vote("left")
        assert "right" not in view.numbers and "generated" not in view.text
    assert view.numbers == {"trial": 8, "voted": 7}
    assert vote.vote("left").numbers["right"] == vote.truth.count("left")


def test_pictures_are_shown_by_their_side_and_named_at_the_end(vote):
    for trial in range(1, 9):
        pictures = vote.set(trial=trial).rows[0]
        assert [picture.title for picture in pictures] == ["left", "right"]
        bright = [picture.image.getpixel((0, 0)) == (255, 255, 255) for picture in pictures]
        assert bright == [vote.truth[trial - 1] == side for side in ("left", "right")]
    vote.vote("left")
    assert [picture.title for picture in vote.set(trial=8).rows[0]] == ["left, your vote", "right"]
    find(vote)
    for trial in range(1, 9):
        titles = {picture.title for picture in vote.set(trial=trial).rows[0]}
        assert titles == {"the photo, your vote", "generated"}


def test_a_vote_goes_on_to_the_next_trial_and_can_be_changed(vote):
    assert vote.vote("left").numbers == {"trial": 2, "voted": 1}
    vote.set(trial=1)
    assert vote.vote("right").numbers == {"trial": 2, "voted": 1}
    assert vote.votes == {1: "right"}
    assert vote.clear().numbers == {"trial": 1, "voted": 0}


def test_buttons_do_what_the_methods_do(vote):
    left, right, again = vote.actions
    vote.set(**left.change(vote.values))
    vote.set(**right.change(vote.values))
    assert vote.votes == {1: "left", 2: "right"} and vote.values == {"trial": 3}
    vote.set(**again.change(vote.values))
    assert vote.votes == {} and vote.values == {"trial": 1}


def test_interval_is_said_with_the_result(vote):
    view = find(vote)
    assert "8 of 8" in view.text and "0.63 to 1.00" in view.text  # 0.025 ** (1 / 8) = 0.63


def test_bad_arguments_are_refused(vote):
    with pytest.raises(InputError, match="side must be one of left, right; got 'up'"):
        vote.vote("up")
    with pytest.raises(InputError, match="as many photos as generated pictures; got 2 and 1"):
        VoteExplorer(torch.ones(1, 3, 8, 8), torch.ones(2, 3, 8, 8))
    with pytest.raises(InputError, match="got 0 and 0"):
        VoteExplorer(torch.ones(0, 3, 8, 8), torch.ones(0, 3, 8, 8))


def test_by_default_the_shipped_generator_is_on_the_ballot():
    vote = VoteExplorer()
    assert vote.generated.shape == vote.photos.shape == (20, 3, 128, 128)
    assert vote.values == {"trial": 1}
    assert "Trial 1 of 20" in vote.view.text


def test_reset_forgets_the_answers():
    explorer = VoteExplorer(torch.zeros(3, 3, 8, 8), torch.ones(3, 3, 8, 8))
    explorer.vote("left")
    view = explorer.reset()
    assert view.numbers == {"trial": 1, "voted": 0} and explorer.votes == {}
