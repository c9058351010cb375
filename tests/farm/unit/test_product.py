import hashlib
import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.errors import ProductError
from pipeline.farm import product
from pipeline.farm.product import Product, chunks, decode, encode, head_length, read_facts

NAME, JOB = "buffers/1001/r00", "ab" * 32
FACTS = {"samples": 12, "seconds": 0.25, "shapes": ["ball", "Türe"], "none": None}
ARRAYS = {
    "map": np.arange(12, dtype=np.uint32).reshape(3, 4),
    "mean": np.linspace(-1, 1, 30, dtype=np.float32).reshape(5, 2, 3),
    "empty": np.zeros((0, 4), np.float64),
    "scalar": np.array(7, np.int64),
    "mask": np.array([True, False]),
}
DTYPES = st.sampled_from(["<f4", "<f8", "<f2", "<u4", "<i8", "|u1", "|b1", ">f4", ">u2"])


def whole() -> bytes:
    return encode(NAME, job_hash=JOB, facts=FACTS, arrays=ARRAYS)


def read(data: bytes) -> Product:
    return decode(data, name=NAME, job_hash=JOB)


def forged(header: Any, *, body: bytes = b"", version: int = product.FORMAT_VERSION) -> bytes:
    """A product with a header of the attacker's choice, and digests that are right."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    fixed = struct.pack("<8sII", b"PENUMBRA", version, len(text))
    head = fixed + hashlib.blake2b(fixed + text, digest_size=16).digest() + text + body
    return head + hashlib.blake2b(head, digest_size=32).digest()


def header_with(**array: Any) -> dict[str, Any]:
    entry = {"name": "a", "dtype": "<f4", "shape": [1], "offset": 0} | array
    return {"name": NAME, "job": JOB, "facts": {}, "arrays": [entry]}


def test_facts_and_arrays_come_back_as_they_were() -> None:
    found = read(whole())

    assert found.name == NAME and found.facts == FACTS
    assert list(found.arrays) == list(ARRAYS)
    for key, array in ARRAYS.items():
        assert found.arrays[key].dtype == array.dtype and found.arrays[key].shape == array.shape
        np.testing.assert_array_equal(found.arrays[key], array)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(max_size=8), hnp.arrays(DTYPES, hnp.array_shapes(max_dims=4, max_side=5)), max_size=4))
def test_any_storable_arrays_come_back_bit_for_bit(arrays: dict[str, Any]) -> None:
    found = read(encode(NAME, job_hash=JOB, facts={}, arrays=arrays))

    assert found.arrays.keys() == arrays.keys()
    for key, array in arrays.items():
        assert found.arrays[key].tobytes() == array.astype(array.dtype.newbyteorder("<")).tobytes()


def test_the_same_product_has_the_same_bytes() -> None:
    assert whole() == whole()


def test_arrays_are_aligned_views_that_cannot_be_written() -> None:
    data = whole()
    found = read(data)

    assert not found.arrays["mean"].flags.writeable
    address = np.frombuffer(data, np.uint8).__array_interface__["data"][0]
    assert (found.arrays["mean"].__array_interface__["data"][0] - address) % 64 == 0


def test_a_strided_array_is_stored_in_c_order() -> None:
    array = np.arange(24, dtype=np.float32).reshape(4, 6)[::2, ::-1].T

    np.testing.assert_array_equal(read(encode(NAME, job_hash=JOB, facts={}, arrays={"a": array})).arrays["a"], array)


def test_a_large_array_is_streamed_as_views_of_itself() -> None:
    array = np.zeros(5 << 20, np.uint8)
    pieces = list(chunks(NAME, job_hash=JOB, facts={}, arrays={"a": array}))

    assert (
        sum(len(piece) for piece in pieces if isinstance(piece, memoryview) and np.shares_memory(piece, array))
        == 5 << 20
    )
    assert b"".join(pieces) == encode(NAME, job_hash=JOB, facts={}, arrays={"a": array})


def test_facts_are_read_from_the_head_alone() -> None:
    data = whole()
    length = head_length(data[: product.HEAD_SIZE])

    assert read_facts(data[:length], name=NAME, job_hash=JOB) == FACTS


@pytest.mark.parametrize("cut", [0, 1, 7, 8, 15, 16, 31, 32, 33, "header", "arrays", -33, -32, -1])
def test_a_truncated_product_is_refused(cut: int | str) -> None:
    data = whole()
    end = head_length(data)
    place = {"header": end - 1, "arrays": end + 5}.get(cut, cut) if isinstance(cut, str) else cut

    with pytest.raises(ProductError, match=r"buffers/1001/r00: truncated"):
        read(data[:place])


def test_bytes_that_follow_are_refused() -> None:
    with pytest.raises(ProductError, match="3 bytes too many"):
        read(whole() + b"abc")


def test_every_flipped_bit_is_found() -> None:
    data = whole()
    for position in range(len(data)):
        wrong = bytearray(data)
        wrong[position] ^= 1 << position % 8
        with pytest.raises(ProductError):
            read(bytes(wrong))


def test_a_flipped_bit_in_the_head_is_found_without_the_arrays() -> None:
    data = bytearray(whole())
    data[60] ^= 4

    with pytest.raises(ProductError, match="digest of the header"):
        read_facts(data[: head_length(data)], name=NAME, job_hash=JOB)


def test_a_product_of_another_job_is_refused() -> None:
    with pytest.raises(ProductError, match="of another job"):
        decode(whole(), name=NAME, job_hash="cd" * 32)


def test_a_product_of_another_name_is_refused() -> None:
    with pytest.raises(ProductError, match="another product"):
        decode(whole(), name="buffers/1002/r00", job_hash=JOB)


def test_a_file_that_is_no_product_is_refused() -> None:
    with pytest.raises(ProductError, match="this is not a product"):
        read(b"\x76\x2f\x31\x01" + bytes(4000))


def test_another_format_version_is_refused_by_its_number() -> None:
    with pytest.raises(ProductError, match="format version 99; this release reads 1"):
        read(forged(header_with(), body=bytes(4), version=99))


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (header_with(shape=[1 << 40]), "truncated"),
        (header_with(shape=[1 << 60]), "impossible shape"),
        (header_with(shape=[1 << 30, 1 << 30]), "impossible shape"),
        (header_with(shape=[0, 1 << 47, 1 << 47]), "impossible shape"),
        (header_with(shape=[-1]), "impossible shape"),
        (header_with(shape=[1.0]), "impossible shape"),
        (header_with(shape=[True]), "impossible shape"),
        (header_with(shape=[1] * 9), "impossible shape"),
        (header_with(shape="1"), "impossible shape"),
        (header_with(offset=-64), "said to lie at -64"),
        (header_with(offset=64), "said to lie at 64"),
        (header_with(offset=1 << 80), "said to lie at"),
        (header_with(offset=None), "impossible shape or place"),
        (header_with(dtype="|O"), "which is not stored"),
        (header_with(dtype="O"), "which is not stored"),
        (header_with(dtype="<U9"), "which is not stored"),
        (header_with(dtype=["<f4"]), "which is not stored"),
        (header_with(dtype=None), "which is not stored"),
        (header_with(extra=1), "makes no sense"),
        ({"name": NAME, "job": JOB, "facts": {}, "arrays": {}}, "lacks its list"),
        ({"name": NAME, "job": JOB, "facts": [], "arrays": []}, "lacks its facts"),
        ({"name": NAME, "job": JOB, "arrays": []}, "lacks its facts"),
        ([], "lacks its facts"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"facts": {"a": NaN}}', "not JSON"),
        (b"1" * 10_000, "not JSON"),
    ],
)
def test_a_hostile_header_is_refused(header: Any, reason: str) -> None:
    with pytest.raises(ProductError, match=reason):
        read(forged(header, body=bytes(4)))


def test_two_arrays_of_one_name_are_refused() -> None:
    header = header_with()
    header["arrays"].append({"name": "a", "dtype": "<f4", "shape": [1], "offset": 64})

    with pytest.raises(ProductError, match="two arrays of one name"):
        read(forged(header, body=bytes(68)))


def test_a_header_that_claims_gigabytes_is_refused_before_anything_is_read() -> None:
    with pytest.raises(ProductError, match="the header claims"):
        head_length(struct.pack("<8sII16x", b"PENUMBRA", product.FORMAT_VERSION, 0xFFFFFFFF))


@pytest.mark.parametrize(
    "make",
    [
        lambda: chunks(NAME, job_hash=JOB, facts={"a": float("nan")}, arrays={}),
        lambda: chunks(NAME, job_hash=JOB, facts={"a": object()}, arrays={}),
        lambda: chunks(NAME, job_hash=JOB, facts={}, arrays={"a": np.array(["x"])}),
        lambda: chunks(NAME, job_hash=JOB, facts={}, arrays={"a": np.array([None])}),
        lambda: chunks(NAME, job_hash=JOB, facts={}, arrays={"a": np.zeros((1,) * 9)}),
        lambda: chunks(NAME, job_hash=JOB, facts={}, arrays={"a": np.zeros(1, complex)}),
    ],
)
def test_what_cannot_be_stored_is_refused_before_the_first_byte(make: Callable[[], Any]) -> None:
    with pytest.raises(ProductError, match="cannot be stored"):
        make()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ProductError):
        read(data)
    with pytest.raises(ProductError):
        read(whole()[:16] + data)
