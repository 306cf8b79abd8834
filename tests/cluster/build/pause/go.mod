module serinus.dev/tests/cluster/build/pause

go 1.26.0

tool serinus.dev/tests/cluster/build/pause
