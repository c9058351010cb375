"""The denoiser against its peers: error, flicker, ghosting, energy, λ, time and memory.

python -m benchmarks.denoise [--quick] [--reference-spp N] [--json FILE]

Renders are kept, and go on where they were: a run with smaller references, which has fewer seeds too, is a beginning
of the next.
"""

from __future__ import annotations

import sys

from benchmarks import denoise_cost, denoise_rows
from benchmarks.denoise_page import pages
from benchmarks.denoise_peers import CONTENDERS
from benchmarks.denoise_renders import Renders
from benchmarks.denoise_sequences import clips
from benchmarks.denoise_trials import FULL, QUICK, trial
from benchmarks.referee import Results, main, published

TITLE = "Denoising"
ABOUT = (
    "The temporal multi-scale kernel-predicting network, preset `fast`, on sequences that it was not trained on, "
    "against the noisy input, a joint non-local-means filter, and Open Image Denoise in its settings. References are "
    "never denoised. Rows are geometric means of ratios over sequences and seeds, with paired bootstrap intervals. "
    "NFOR, the paper's classical baseline, exists only inside a C++ renderer: the joint filter stands in for it."
)

TIMED = "shot_010"


def measure(results: Results, contender: str = "kpcn") -> None:
    """All rows.

    Args:
        contender: a key of `CONTENDERS`; another than the network tries the benchmark itself.
    """
    sizes, make = (QUICK if results.quick else FULL), CONTENDERS[contender]
    if results.reference_spp is not None:
        sizes = sizes.with_references(results.reference_spp)
    renders = Renders(sizes.resolution)
    sequences = clips(quick=results.quick)

    found = [
        trial(renders, clip, make, sizes, still=number < sizes.still_clips) for number, clip in enumerate(sequences)
    ]
    print("what follows is timed", file=sys.stderr, flush=True)
    timed = next(clip for clip in clips() if clip.name == TIMED)
    frames = [renders.buffers(timed, frame, 16, 0) for frame in timed.judged]
    pairs = 3 if results.quick else 9
    times = denoise_cost.times(make, frames, pairs=pairs)
    recall = denoise_cost.recall(make, frames, pairs=pairs)
    memory = denoise_cost.peak_memory(contender)

    denoise_rows.quality(results, found)
    denoise_rows.flicker(results, found, sizes)
    denoise_rows.ghosting(results, found)
    denoise_rows.many_samples(results, found, sizes)
    denoise_rows.energy(results, found)
    denoise_rows.cost(results, times, recall, memory)
    denoise_rows.steering(results, found)
    denoise_rows.ablations(results, published("ablations"))
    pages(results, found)


if __name__ == "__main__":
    sys.exit(main("denoise", TITLE, ABOUT, measure))
