import pytest

from nbtransfer.panels.setup_choices import Choice
from nbtransfer.panels.setup_pickers import Picker, Select

CHOICES = [Choice(None, "as it comes"), Choice(False, "none"), Choice(0, "zero"), Choice("a", "A")]


@pytest.mark.parametrize("value", [None, False, 0, "a"])
def test_every_value_can_be_chosen_and_is_told_from_its_likes(value):
    select = Select("Thing", CHOICES, "a")
    select.value = value
    assert select.value is value
    assert select.control.label == next(c.label for c in CHOICES if c.value is value)


def test_a_value_that_is_not_on_offer_is_added_in_front():
    select = Select("Thing", CHOICES, "b")
    assert select.options[0] == Choice("b", "b")
    assert select.value == "b"


def test_offering_the_same_again_sends_nothing():
    select = Select("Thing", CHOICES, "a")
    changes = []
    select.control.observe(changes.append)
    select.offer(list(CHOICES), "a")
    assert changes == []


def test_a_user_who_chooses_is_heard():
    select = Select("Thing", CHOICES, "a")
    heard = []
    select.watch(lambda: heard.append(select.value))
    select.control.index = 1  # what the front end sends
    assert heard == [False]


def test_the_field_of_a_picker_shows_only_when_it_is_asked_for():
    picker = Picker("Model", [Choice("a", "A")], "a", "a hub id")
    assert picker.field.layout.display == "none"
    picker.list.value = None
    assert picker.field.layout.display == ""
    assert picker.value == ""
    picker.list.value = "a"
    assert picker.field.layout.display == "none"
    assert picker.value == "a"
