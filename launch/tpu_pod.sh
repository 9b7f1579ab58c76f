#!/bin/bash
# Trains on all hosts of a Cloud TPU slice, where this repository is installed in ~/deps_jax:
#
#     TPU=my-v5e-16 ZONE=us-central1-a CONFIG=configs/deps_cifar10.py \
#         WORKDIR=/mnt/shared/runs/c10 TFDS_DATA_DIR=/mnt/shared/datasets bash launch/tpu_pod.sh
#
# COMMAND=train_nurture or train_nurture_once trains NurtureNet. What stands after the file goes to
# the training, such as --data=/mnt/shared/newborns for NurtureNet.
# WORKDIR and the data lie on a drive that all hosts have mounted (Filestore, GCS FUSE).
# The same line again goes on, after a spot machine was taken away as well. docs/processes.md
set -euo pipefail

: "${TPU:?set TPU to the name of the slice}" "${ZONE:?set ZONE to its zone}"
: "${CONFIG:?set CONFIG to a config, such as configs/deps_cifar10.py}"
: "${WORKDIR:?set WORKDIR to a folder on a drive that all hosts share}"
rest=""
for word in "$@"; do rest+=" $(printf %q "$word")"; done

# One process a host; the slice itself says who takes part (--distributed=on).
gcloud compute tpus tpu-vm ssh "$TPU" --zone "$ZONE" --worker=all --command "
    cd ~/deps_jax &&
    JAX_COMPILATION_CACHE_DIR=$(printf %q "$(dirname "$WORKDIR")/compiled") \
    TFDS_DATA_DIR=$(printf %q "${TFDS_DATA_DIR:-}") \
    .venv/bin/python -m launch.$(printf %q "${COMMAND:-train_supernet}") --distributed=on \
        --config $(printf %q "$CONFIG") --workdir $(printf %q "$WORKDIR")${rest}"
