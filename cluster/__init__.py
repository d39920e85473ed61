"""Say where a sweep runs: cluster files and the script that `ray submit` sends."""
