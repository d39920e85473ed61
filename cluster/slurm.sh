#!/bin/bash
# Slurm: a Ray cluster of four GPU nodes for one sweep. From the checkout, on shared storage:
#   python3 -m venv .venv && .venv/bin/python -m pip install -r requirements-gpu.txt    # once; Python 3.11
#   source .venv/bin/activate && python -m cluster token
#   sbatch cluster/slurm.sh search/sweeps/default.yaml --set dataset=$HOME/dataset --experiment $HOME/first
# What follows the script is what follows `--` in cluster/submit.py. Python is that of .venv in the checkout.
#SBATCH --job-name=raretune
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-node=1
#SBATCH --exclusive
#SBATCH --time=12:00:00
#SBATCH --output=raretune-%j.log
set -euo pipefail
[ $# -gt 0 ] || { echo "error: say which sweep: sbatch cluster/slurm.sh SWEEP.yaml ..." >&2; exit 2; }

cd "${SLURM_SUBMIT_DIR:?this script is for sbatch}"
export PATH="$PWD/.venv/bin:$PATH" RARETUNE_HOME="$PWD"
# The token's file is in the home folder, which Slurm's nodes share: it stands on no command line.
export RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0
python -m cluster token

nodes=($(scontrol show hostnames "$SLURM_JOB_NODELIST"))
head=${nodes[0]}
address=$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address | awk '{print $1}')
port=$((20000 + SLURM_JOB_ID % 20000))            # two jobs on one node must not meet
options=(--num-cpus="$SLURM_CPUS_PER_TASK" --num-gpus="${SLURM_GPUS_ON_NODE:-0}" --block)

srun --nodes=1 --ntasks=1 --nodelist="$head" \
  ray start --head --node-ip-address="$address" --port="$port" --dashboard-host=127.0.0.1 "${options[@]}" &
sleep 15
if [ "${#nodes[@]}" -gt 1 ]; then
  workers=$(IFS=,; echo "${nodes[*]:1}")
  srun --nodes=$((${#nodes[@]} - 1)) --ntasks=$((${#nodes[@]} - 1)) --nodelist="$workers" \
    ray start --address="$address:$port" "${options[@]}" &
fi

# On the head's node, beside Ray: --overlap. Slurm ends Ray, with everything else, when this script ends.
export RAY_ADDRESS="$address:$port"
srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" \
  python -m cluster doctor --address "$RAY_ADDRESS" --nodes "${#nodes[@]}" --shared "$PWD"
srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" python cluster/submit.py "$@"
