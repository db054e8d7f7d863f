"""Decoding on the network's device, with torchvision's decoder of the CPU in nvJPEG's place."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pool5.errors import UserError
from pool5.extract import card_decoder
from pool5.extract.card_decoder import decode_on
from pool5.extract.card_resample import resample
from pool5.extract.forward import Forward
from pool5.images.image_file import decode
from pool5.images.transform import crop_centre, crop_or_pad, resize
from pool5.params import Extract, Preprocess
from tests.images.jpegs import encoded, picture

SMALL = Preprocess(resize=72, crop=64)
CPU = torch.device("cpu")
SIZES = ((200, 150), (150, 200), (90, 91), (333, 80), (64, 64), (40, 30), (640, 480))


def files() -> dict[int, np.ndarray]:
    """{place: file}: every second place of a batch."""
    made = (encoded(picture(*size, seed=seed)) for seed, size in enumerate(SIZES))
    return {2 * number: np.frombuffer(data, np.uint8) for number, data in enumerate(made)}


def batch() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (16, 64, 64, 3), dtype=np.uint8)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("mode", ["crop", "squash", "pad"])
def test_resampling_is_pillows_to_the_bit(interpolation: str, mode: str) -> None:
    crop = 80 if mode == "pad" else 64
    preprocess = Preprocess(resize=72, crop=crop, interpolation=interpolation, mode=mode, fill=(9, 8, 7))
    images = [picture(*size, seed=seed) for seed, size in enumerate(SIZES)]
    tensors = [torch.from_numpy(np.array(image)).permute(2, 0, 1) for image in images]
    found = resample(tensors, preprocess)
    for number, image in enumerate(images):
        expected = crop_or_pad(resize(image, preprocess), (crop, crop), preprocess.fill)
        np.testing.assert_array_equal(found[number].numpy(), np.asarray(expected))
        part = np.asarray(crop_centre(image, preprocess)).astype(int)
        assert np.abs(found[number].numpy() - part).max() <= 2, "as where only a part is resampled"
        assert torch.equal(resample([tensors[number]], preprocess)[0], found[number]), "whoever is beside it"


def test_columns_that_pillow_takes_first_are_off_by_a_level() -> None:
    tall = picture(64, 700)
    found = resample([torch.from_numpy(np.array(tall)).permute(2, 0, 1)], SMALL)[0].numpy()
    assert np.abs(found - np.asarray(crop_centre(tall, SMALL)).astype(int)).max() <= 1


def test_files_are_decoded_in_their_places_and_nothing_else_is_touched() -> None:
    images, given = batch(), files()
    found, refused = decode_on(CPU, images, given, SMALL)
    assert refused == {}
    for place in range(16):
        if place not in given:
            np.testing.assert_array_equal(found[place].numpy(), images[place])
            continue
        expected = crop_centre(decode(given[place].tobytes(), "a"), SMALL)
        assert np.abs(found[place].numpy() - np.asarray(expected).astype(int)).mean() < 2
    np.testing.assert_array_equal(images, batch())


def test_pixels_depend_neither_on_the_others_nor_on_how_many_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = files()
    whole, _ = decode_on(CPU, batch(), given, SMALL)
    monkeypatch.setattr(card_decoder, "_PADDED_PIXELS", 50_000)
    portions, _ = decode_on(CPU, batch(), given, SMALL)
    assert torch.equal(whole, portions)
    for place, file in given.items():
        alone, _ = decode_on(CPU, batch()[:1], {0: file}, SMALL)
        assert torch.equal(alone[0], whole[place])


def test_a_batch_of_files_alone_needs_no_pixels() -> None:
    file = next(iter(files().values()))
    found, _ = decode_on(CPU, batch()[:2], {0: file, 1: file}, SMALL)
    assert torch.equal(found[0], found[1])


def test_a_file_that_the_device_refuses_leaves_the_others() -> None:
    given = files()
    whole, _ = decode_on(CPU, batch(), given, SMALL)
    found, refused = decode_on(CPU, batch(), given | {1: np.frombuffer(b"no JPEG", np.uint8)}, SMALL)
    assert list(refused) == [1]
    assert refused[1].startswith("the device's decoder refuses it (")
    for place in given:
        assert torch.equal(found[place], whole[place])


def test_a_batch_that_the_memory_does_not_hold_is_decoded_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, _ = decode_on(CPU, batch(), files(), SMALL)
    decode_jpeg = card_decoder.decode_jpeg

    def tight(data: list[torch.Tensor], *rest: object) -> list[torch.Tensor]:
        if len(data) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return decode_jpeg(data, *rest)

    monkeypatch.setattr(card_decoder, "decode_jpeg", tight)
    found, refused = decode_on(CPU, batch(), files(), SMALL)
    assert refused == {}
    assert torch.equal(found, whole)


def no_memory(*_: object) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nsee the documentation")


def test_too_little_memory_for_one_image_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(card_decoder, "decode_jpeg", no_memory)
    with pytest.raises(
        UserError, match=r"^extract\.decoder: nvjpeg: CUDA out of memory.*GiB; take turbojpeg"
    ):
        decode_on(CPU, batch(), files(), SMALL)


@pytest.mark.parametrize(
    ("told", "is_the_files"),
    [
        ("Error while decoding JPEG images: Failed to get image info: 3", True),
        ("Error while decoding JPEG images: Unknown chroma subsampling", True),
        ("Error while decoding JPEG images: Failed to decode batch: 10", True),
        ("Error while decoding JPEG images: Failed to decode jpeg stream: 5", False),
        ("Error while decoding JPEG images: Failed to initialize nvjpeg with default backend: 7", False),
        ("Error while decoding JPEG images: CUDA out of memory. Tried to allocate 2.00 GiB.", False),
        ("decode_jpegs_cuda: torchvision not compiled with nvJPEG support", False),
    ],
)
def test_what_is_wrong_with_the_device_is_not_blamed_on_the_file(told: str, is_the_files: bool) -> None:
    error = RuntimeError(f"{told}\nException raised from decode at …")
    if is_the_files:
        assert (
            card_decoder._why(error, torch.device("cuda", 0)) == f"the device's decoder refuses it ({told})"
        )
        return
    with pytest.raises(UserError, match="take turbojpeg or pillow"):
        card_decoder._why(error, torch.device("cuda", 0))


def test_a_card_that_has_failed_is_not_taken_for_a_decoder_that_has() -> None:
    error = RuntimeError("Error while decoding JPEG images: CUDA error: an illegal memory access")
    with pytest.raises(RuntimeError, match="illegal memory access"):
        card_decoder._why(error, torch.device("cuda", 0))


def test_on_a_cpu_nvjpeg_is_refused() -> None:
    with pytest.raises(UserError, match="nvjpeg decodes on a CUDA device, and the network is on the CPU"):
        Forward(torch.nn.Identity(), [], SMALL, Extract(device="cpu", decoder="nvjpeg"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
class TestOnTheCard:
    DEVICE = torch.device("cuda", 0)

    def test_the_card_sees_what_the_cpu_sees(self) -> None:
        there, refused = decode_on(self.DEVICE, batch(), files(), SMALL)
        assert refused == {}
        assert there.device == self.DEVICE
        here, _ = decode_on(CPU, batch(), files(), SMALL)
        assert (there.cpu().int() - here.int()).abs().float().mean() < 2

    def test_resampling_gives_the_bits_of_the_cpu(self) -> None:
        for interpolation in ("bilinear", "bicubic", "lanczos"):
            preprocess = Preprocess(resize=72, crop=64, interpolation=interpolation)
            tensors = [torch.from_numpy(np.array(picture(*size))).permute(2, 0, 1) for size in SIZES]
            there = resample([tensor.to(self.DEVICE) for tensor in tensors], preprocess)
            assert torch.equal(there.cpu(), resample(tensors, preprocess))

    def test_pixels_depend_on_nothing_beside_the_file(self, monkeypatch: pytest.MonkeyPatch) -> None:
        given = files()
        given[1] = np.frombuffer(encoded(picture(300, 200), progressive=True), np.uint8)
        whole, _ = decode_on(self.DEVICE, batch(), given, SMALL)
        again, _ = decode_on(self.DEVICE, batch(), given, SMALL)
        assert torch.equal(whole, again)
        monkeypatch.setattr(card_decoder, "_PADDED_PIXELS", 50_000)
        assert torch.equal(decode_on(self.DEVICE, batch(), given, SMALL)[0], whole)
        for place, file in given.items():
            alone, _ = decode_on(self.DEVICE, batch()[:1], {0: file}, SMALL)
            assert torch.equal(alone[0], whole[place])

    def test_a_file_that_is_no_jpeg_is_refused_alone(self) -> None:
        given = files()
        whole, _ = decode_on(self.DEVICE, batch(), given, SMALL)
        found, refused = decode_on(
            self.DEVICE, batch(), given | {1: np.frombuffer(b"no JPEG at all", np.uint8)}, SMALL
        )
        assert list(refused) == [1]
        assert torch.equal(found[0], whole[0])

    def test_the_memory_is_not_taken_again_before_it_has_been_read(self) -> None:
        """Batches one after another, as an extraction does: each gives what it gives alone."""
        rounds = [{0: file} for file in files().values()] * 4
        alone = [decode_on(self.DEVICE, batch()[:1], each, SMALL)[0].cpu() for each in rounds]
        held = [decode_on(self.DEVICE, batch()[:1], each, SMALL)[0] for each in rounds]
        assert all(torch.equal(one, other.cpu()) for one, other in zip(alone, held, strict=True))
