"""What a run is conditional on: the labels of its images, or clusters of images that look alike."""

from __future__ import annotations

import numpy as np

from minigan.data import ImageData
from minigan.errors import DataError
from minigan.run.options import RunOptions, option, positive

CONDITIONS = ("none", "labels", "clusters")


def condition_options() -> dict[str, object]:
    """The options of a program that offers conditional generation, for `run.options(..., **condition_options())`."""
    return {
        "conditional": option(CONDITIONS, "what images are drawn for: the data's labels, or clusters of images that "
                              "look alike, for data without labels"),
        "clusters": option(10, "number of clusters for --conditional clusters", kind=positive(int)),
    }


def conditioned(images: ImageData, options: RunOptions) -> tuple[ImageData, np.ndarray | None]:
    """The images with the labels that `options.conditional` asks for, and these labels; None for "none".

    Clusters are found anew each time, also for --resume: equal options and data give equal ones.

    Raises:
        DataError: the images have no labels, or those of one class only; fewer images than clusters.
        OptionError: fewer than two clusters.
    """
    if options.conditional == "none":
        return images, None
    if options.conditional == "clusters":
        from minigan.metrics.clusters import Settings, clustered  # few programs need it

        print(f"an autoencoder learns features of the images, for {options.clusters} clusters: seconds")
        settings = Settings(images_seen=640, width=4) if options.smoke else Settings()
        images = clustered(images, options.clusters, options.seed, settings)
        return images, images.labels
    if len(images.labels) != len(images) or len(np.unique(images.labels)) < 2:
        raise DataError(f"--conditional labels: {images.name} has no labels, or only one ({images.source}); "
                        "--conditional clusters finds groups of images that look alike")
    return images, images.labels
