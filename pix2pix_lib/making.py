"""Making a folder of pairs out of other folders.

Nothing that is read is changed, nothing that exists is overwritten, and a folder appears when it is
complete.
"""

import logging
import random
import re
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
from PIL import Image

from .checking import same_pictures
from .files import new_folder
from .groups import Group, ImageFile, match
from .images import IMAGE_SUFFIXES, read_image, read_values
from .layouts import Pair
from .looks import look_at
from .naming import normal
from .progress import close_bars, make_bar, progress_callback
from .validation import InputError

log = logging.getLogger("pix2pix_lib.making")

Sides = tuple[np.ndarray, np.ndarray]


# --- splitting ----------------------------------------------------------------------------------


def split_dataset(
    pairs: list[Pair],
    root: Path,
    out: Path,
    shares: dict[str, float],
    by_scene: bool = False,
    seed: int = 0,
) -> dict[str, int]:
    """Copy the files of pairs, byte by byte, into splits; return how many pairs each split got.

    Files with both sides become out/SPLIT/NAME.png, other pairs out/SPLIT/a/NAME.jpg and
    out/SPLIT/b/NAME.png, where NAME is that of A.

    Args:
        root: the folder below which the pairs lie.
        shares: of all pairs, for the splits other than train; one of 0 is left out.
        by_scene: keep together pairs of one folder whose names differ by the number at the end, and
            pictures that look alike.

    Raises:
        FileExistsError: if `out` holds anything.
        InputError: if a share is out of range, or there are too few pairs or scenes.
    """
    if min(shares.values()) < 0 or not 0 < sum(shares.values()) < 1:
        given = ", ".join(f"{share:g} {split}" for split, share in shares.items())
        raise InputError(f"expected shares of all pairs, such as 0.1, below 1 in all; got {given}")
    pairs = list({pair.files: pair for pair in pairs}.values())  # the pages of a file stay together
    scenes = find_scenes(pairs) if by_scene else [[pair] for pair in pairs]
    splits = _share_out(scenes, shares, random.Random(seed))
    names = _names(pairs, root)
    with new_folder(out, root) as folder, closing(make_bar(len(pairs), "copying")) as bar:
        for split, part in splits.items():
            for pair in part:
                for file, place in zip(pair.files, ("a", "b") if pair.b else (".",)):
                    target = folder / split / place / f"{names[pair]}{file.suffix}"
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(file, target)
                bar.update()
    return {split: len(part) for split, part in splits.items()}


def _names(pairs: list[Pair], root: Path) -> dict[Pair, str]:
    """Return a name for each pair's copies: that of A, after its folders if need be."""
    stems = Counter(pair.a.stem for pair in pairs)
    return {
        pair: pair.a.stem
        if stems[pair.a.stem] == 1
        else "_".join(pair.a.relative_to(root).with_suffix("").parts)
        for pair in pairs
    }


def find_scenes(pairs: list[Pair]) -> list[list[Pair]]:
    """Return the pairs in groups that show one scene, by their names and by their looks.

    Raises:
        InputError: if a file cannot be read.
    """
    from scipy.cluster.hierarchy import DisjointSet

    scenes, first = DisjointSet(range(len(pairs))), {}
    by_name = [(p.a.parent, re.sub(r"[\W_]*\d+$", "", p.a.stem)) for p in pairs]
    told = len(set(by_name)) > 1
    for index, scene in enumerate(by_name if told else ()):
        scenes.merge(index, first.setdefault(scene, index))
    if not told:
        log.info("note: the names tell no scenes; only pictures that look alike stay together")
    entries, broken = look_at({"": pairs}, progress_callback("looking at pairs"))
    if broken:
        raise InputError(next(iter(broken.values())))
    alike = same_pictures(entries)
    for i, j in alike:
        scenes.merge(i, j)
    close_bars()
    groups = scenes.subsets()
    log.info(
        "%d pairs show %d scenes; %d times two pairs look alike",
        len(pairs), len(groups), len(alike),
    )  # fmt: skip
    return [[pairs[index] for index in sorted(group)] for group in groups]


def _share_out(
    scenes: list[list[Pair]], shares: dict[str, float], dice: random.Random
) -> dict[str, list[Pair]]:
    """Deal whole scenes to val and test until these have their shares; the rest is train.

    Raises:
        InputError: if a split would get none, or far too many.
    """
    total = sum(map(len, scenes))
    left = dice.sample(scenes, len(scenes))
    splits = {"train": []}
    for split, share in shares.items():
        if not share:
            continue
        wanted, part = max(share * total, 1), []
        for scene in list(left):
            if sum(map(len, part)) + len(scene) <= wanted:
                part.append(scene)
                left.remove(scene)
        if not part:
            raise InputError(
                f"{total} pairs of {len(scenes)} scenes are too few for {share:g} as {split}; "
                "give a larger share, or leave out --by-scene"
            )
        splits[split] = [pair for scene in part for pair in scene]
    splits["train"] = [pair for scene in left for pair in scene]
    if not splits["train"]:
        raise InputError(f"{total} pairs of {len(scenes)} scenes leave none for train; add more")
    return splits


# --- pairs side by side ---------------------------------------------------------------------------


def join_folders(folder_a: Path, folder_b: Path, out: Path) -> int:
    """Put the images of two folders side by side, as PNG without loss; return how many.

    Images of one path in their folders belong together, but for the ending and for what all names
    of a folder share, such as _mask.

    Raises:
        FileExistsError: if `out` holds anything.
        FileNotFoundError: if there are no images, or one has no partner.
        InputError: if two images differ in size, or one PNG cannot hold both.
    """
    folders = folder_a, folder_b
    keys = match(*(_group(_images(folder)) for folder in folders))
    for one, other, folder in zip(keys, keys[::-1], folders[::-1]):
        for key, files in one.items():
            if len(files) > 1:
                raise InputError(f"{files[0].path} and {files[1].path} have one name; rename one")
            if key not in other:
                count = len(one.keys() - other.keys())
                raise FileNotFoundError(
                    f"{files[0].path} has no partner in {folder}, where names are such as "
                    f"{next(iter(other.values()))[0].path.name} ({count} without a partner in "
                    "all); add it, rename it, or remove the file"
                )
    pairs = {file.relative: (file.path, keys[1][key][0].path) for key, (file,) in keys[0].items()}
    return _write_pairs(out, pairs, _read_both, folder_a, folder_b)


def _group(files: dict[str, Path]) -> Group:
    return Group((), {ImageFile(path, name, "", (), name): name for name, path in files.items()})


def pairs_from_photos(
    folder: Path, out: Path, draw: Callable[[np.ndarray], np.ndarray], size: int | None = None
) -> int:
    """Put what is drawn from each photo (A) beside it (B); return how many there are.

    Args:
        draw: gives (H, W) uint8 for a photo, (H, W, 3) uint8.
        size: shrinks photos to this shorter side before, in pixels.

    Raises:
        FileExistsError: if `out` holds anything.
        FileNotFoundError, InputError: if there are no images, or one cannot be read.
    """

    def make(file: Path) -> Sides:
        photo = _read_photo(file, size)
        return draw(photo)[:, :, None].repeat(3, axis=2), photo

    return _write_pairs(out, _images(folder), make, folder)


def _images(folder: Path) -> dict[str, Path]:
    """Return the images below a folder by their paths in it, without endings.

    Raises:
        FileNotFoundError: if there are none.
        InputError: if two have one name.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    files = {}
    for file in sorted(folder.rglob("*")):
        parts = file.relative_to(folder).with_suffix("").parts
        if file.suffix.lower() not in IMAGE_SUFFIXES or any(part[0] == "." for part in parts):
            continue
        name = normal("/".join(parts))
        if name in files:
            raise InputError(f"{file} and {files[name].name} have one name; rename one of them")
        files[name] = file
    if not files:
        raise FileNotFoundError(f"{folder}: no images in it; put .jpg, .png or other images there")
    return files


def _write_pairs(
    out: Path, sources: dict[str, object], make: Callable[..., Sides], *inputs: Path
) -> int:
    """Write one PNG, A left and B right, for each source; return how many."""
    with new_folder(out, *inputs) as folder, closing(make_bar(len(sources), "making pairs")) as bar:
        for name, source in sources.items():
            target = folder / f"{name}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.concatenate(make(source), axis=1)).save(target)
            bar.update()
    return len(sources)


def _read_both(files: tuple[Path, Path]) -> Sides:
    """Return two images as (H, W) or (H, W, 3) arrays of one type."""
    both = [read_values(file) for file in files]
    shapes = [f"{v.shape[2]}x{v.shape[1]} with {len(v)} bands of {v.dtype}" for v in both]
    deep = both[0].dtype == both[1].dtype == np.uint16 and len(both[0]) == len(both[1]) == 1
    plain = all(v.dtype == np.uint8 and len(v) in (1, 3) for v in both)
    if both[0].shape[1:] != both[1].shape[1:] or not (deep or plain):
        raise InputError(
            f"{files[0]} is {shapes[0]} and {files[1]} is {shapes[1]}: one PNG holds two images of "
            "one size, of 8 bits or both grey of 16; resize them, or keep them in folders a and b"
        )
    if len(both[0]) == len(both[1]) == 1:
        return both[0][0], both[1][0]
    return tuple(v.repeat(3 // len(v), axis=0).transpose(1, 2, 0) for v in both)


def _read_photo(file: Path, size: int | None) -> np.ndarray:
    """Return a photo as (H, W, 3) uint8, its shorter side at most `size`."""
    photo = Image.fromarray(read_image(file).permute(1, 2, 0).numpy())
    scale = (size or min(photo.size)) / min(photo.size)
    if scale < 1:
        width, height = (round(side * scale) for side in photo.size)
        photo = photo.resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(photo)


def draw_edges(photo: np.ndarray, method: str = "canny", sigma: float = 2.0) -> np.ndarray:
    """Return the edges of (H, W, 3) uint8 as (H, W) uint8, dark on white.

    canny draws lines of one pixel, black; sobel shades, the darker the steeper.

    Args:
        sigma: of the Gaussian blur before, in pixels.
    """
    from skimage import color, feature, filters

    grey = color.rgb2gray(photo)
    if method == "canny":
        return (~feature.canny(grey, sigma)).astype("uint8") * 255
    steep = filters.sobel(filters.gaussian(grey, sigma))
    # A blank picture has no edges: rounding is not to be taken for any.
    return (255 - steep * (255 / max(steep.max(), 1 / 255))).round().astype("uint8")


def lightness(photo: np.ndarray) -> np.ndarray:
    """Return L of Lab of (H, W, 3) uint8, 0..100, as (H, W) uint8, 0..255."""
    from skimage.color import rgb2lab

    return (rgb2lab(photo)[:, :, 0] * 2.55).round().clip(0, 255).astype("uint8")
