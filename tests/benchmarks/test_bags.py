import gzip
import lzma

import numpy as np
import pytest
import torch
from scipy.io import savemat

from benchmarks.absent import Absent
from benchmarks.bags import draw_bags, joined, read, read_folder, read_idx

LINES = ["1,7,1,2", "0,3,3,4", "1,7,5,6", "0,9,7,8"]


@pytest.fixture
def csv(tmp_path):
    path = tmp_path / "some.csv"
    path.write_text("\n".join(LINES))
    return path


def test_lines_of_a_bag_need_not_be_together(csv):
    bags = read(csv)
    assert bags.y.tolist() == [0, 1, 0]
    assert bags.ptr.tolist() == [0, 1, 3, 4]
    assert bags.x.tolist() == [[3, 4], [1, 2], [5, 6], [7, 8]]
    assert bags.standardise


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([*LINES, "0,7,1,1"], "has bags whose instances differ in class"),
        (["1,2", "0,3"], r"class, bag and features \(got 2 columns\)"),
        (["1,1,2", "0.5,2,3"], r"class 0 or 1 \(got \[0.5 1. \]\)"),
        (["1,1,2", "-1,2,3"], "class 0 or 1"),
        (["1,1,2", "0,2,nan"], "features that are no finite numbers"),
    ],
)
def test_refuses_other_text(tmp_path, lines, message):
    path = tmp_path / "bad.csv"
    path.write_text("\n".join(lines))
    with pytest.raises(ValueError, match=message):
        read(path)


@pytest.mark.parametrize("name", ["bad.csv", "bad.mat", "bad.idx.gz", "bad.idx.xz"])
def test_names_files_that_are_broken(tmp_path, name):
    path = tmp_path / name
    path.write_text("neither numbers nor packed")
    with pytest.raises(ValueError, match=f"{name}' cannot be read") as caught:
        read_idx(path.with_suffix("")) if "idx" in name else read(path)
    assert not isinstance(caught.value, Absent)


@pytest.mark.parametrize("name", ["none.csv", "none.mat"])
def test_says_what_is_missing(tmp_path, name):
    with pytest.raises(Absent, match=f"there is no '.*{name}' .docs/evaluation.md"):
        read(tmp_path / name)


def cells(*matrices):
    made = np.empty((1, len(matrices)), dtype=object)
    made[0] = [np.array(matrix, dtype=float) for matrix in matrices]
    return made


def test_reads_columns_of_matrices_as_instances(tmp_path):
    content = {
        "bag": cells([[1, 2, 3], [4, 5, 6]], [[7], [8]]),
        "labels": np.array([[1, 0]]),
        "testBags": cells([[9, 10], [11, 12]]),
        "testlabels": np.array([[1]]),
    }
    savemat(tmp_path / "bags.mat", content)
    bags = read(tmp_path / "bags.mat")
    assert bags.x.tolist() == [[1, 4], [2, 5], [3, 6], [7, 8], [9, 11], [10, 12]]
    assert bags.ptr.diff().tolist() == [3, 1, 2]
    assert bags.y.tolist() == [1, 0, 1]


def test_a_matlab_file_must_hold_bags(tmp_path):
    savemat(tmp_path / "other.mat", {"x": np.zeros(2)})
    with pytest.raises(ValueError, match="must hold 'bag' and 'labels'"):
        read(tmp_path / "other.mat")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"labels": [[1, 0, 1]]}, r"many 'labels' as 'bag' \(got 3 and 2\)"),
        ({"labels": [[1, 0]], "testlabels": [[1]]}, r"'testlabels' .*got 1 and 0"),
        ({"labels": cells([[1]], [[0, 1]])}, "one label of each bag"),
        ({"labels": [[1, 0]], "bag": cells([[1]], [[3], [4]])}, "number of features"),
        ({"labels": [[1, 0]], "bag": cells([[1]], [[1e39]])}, "no finite numbers"),
    ],
)
def test_each_bag_of_a_matlab_file_has_a_label(tmp_path, content, message):
    savemat(tmp_path / "b.mat", {"bag": cells([[1, 2]], [[3]]), **content})
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "b.mat")


def test_two_files_of_one_name_are_refused(csv):
    csv.with_suffix(".mat").write_text("the same bags")
    with pytest.raises(ValueError, match=r"some.csv' and '.*some.mat' would be one"):
        read_folder(csv.parent)


def test_finds_the_files_of_a_folder(csv):
    (csv.parent / "notes.txt").write_text("no bags")
    assert read_folder(csv.parent) == {"some": csv}


@pytest.mark.parametrize(
    ("suffix", "pack"), [("", bytes), (".gz", gzip.compress), (".xz", lzma.compress)]
)
def test_reads_idx_packed_or_not(tmp_path, suffix, pack):
    head = bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3])
    packed = pack(head + bytes([1, 2, 3, 4, 5, 255]))
    (tmp_path / f"images{suffix}").write_bytes(packed)
    assert read_idx(tmp_path / "images").tolist() == [[1, 2, 3], [4, 5, 255]]


def test_other_files_are_no_idx(tmp_path):
    (tmp_path / "images").write_bytes(b"P5 2 3 255")
    with pytest.raises(ValueError, match="is not an IDX file"):
        read_idx(tmp_path / "images")


def test_bags_are_labelled_by_whether_they_hold_a_nine():
    digits = torch.arange(10).repeat(20)
    x = digits.float().unsqueeze(1)
    bags = draw_bags(x, digits, 300, (10, 2), np.random.default_rng(0))
    chosen, y = bags.select(torch.arange(300))
    nine = torch.zeros(300, dtype=torch.bool)
    nine[chosen.batch[chosen.x[:, 0] == 9]] = True
    assert torch.equal(nine.long(), y)
    assert 0.4 < y.double().mean() < 0.6
    counts = chosen.batch.bincount().double()
    assert counts.mean() == pytest.approx(10, abs=0.4)
    assert counts.std() == pytest.approx(2, abs=0.3)


def test_joined_collections_keep_their_own_instances():
    digits = torch.arange(10)
    rng = np.random.default_rng(0)
    one = draw_bags(torch.zeros(10, 1), digits, 3, (2, 1), rng)
    two = draw_bags(torch.ones(10, 1), digits, 2, (2, 1), rng)
    both = joined([one, two])
    assert torch.equal(both.y, torch.cat([one.y, two.y]))
    assert set(both.select(torch.tensor([0, 1, 2]))[0].x.flatten().tolist()) == {0}
    assert set(both.select(torch.tensor([3, 4]))[0].x.flatten().tolist()) == {1}


@pytest.mark.parametrize(
    ("name", "num_bags", "num_instances", "positive"),
    [
        ("musk1.csv", 92, 476, 47),
        ("elephant.csv", 200, 1391, 100),
        ("dr_asu.mat", 425, 20400, 265),
    ],
)
def test_reads_the_published_sets(shared_data, name, num_bags, num_instances, positive):
    bags = read(shared_data / "mil" / name)
    assert (len(bags), len(bags.x), int(bags.y.sum())) == (
        num_bags,
        num_instances,
        positive,
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,1", r"line 3: .* as many values as the others, 4 \(got 2\)"),
        ("1,1,2,x", "line 3: 'x' is no number"),
        ("", "line 3: it is empty"),
    ],
)
def test_names_the_line_that_is_wrong(tmp_path, line, message):
    (tmp_path / "b.csv").write_text("\n".join([*LINES[:2], line, *LINES[2:]]))
    with pytest.raises(ValueError, match=f"b.csv' cannot be read .{message}"):
        read(tmp_path / "b.csv")


def test_a_file_without_bags_is_refused(tmp_path):
    (tmp_path / "b.csv").write_text("")
    with pytest.raises(ValueError, match=r"b.csv' must have columns class, bag and"):
        read(tmp_path / "b.csv")


@pytest.mark.parametrize("cut", [1, 5, 9, 14])
def test_an_idx_file_that_is_cut_is_named(tmp_path, cut):
    whole = bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6])
    (tmp_path / "images").write_bytes(whole[:-cut])
    with pytest.raises(ValueError, match=r"images' (cannot be read|is not an IDX)"):
        read_idx(tmp_path / "images")
