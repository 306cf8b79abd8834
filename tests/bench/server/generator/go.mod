module serinus.dev/bench/generator

go 1.26.0
