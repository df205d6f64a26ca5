# The verbs of the published experiments: part of the Makefile where the examples are kept.

.PHONY: experiments gallery studies

experiments: install ## run every published experiment and compare the figures
	$(BIN)/python benchmarks/experiments.py

gallery: install ## train what the README and the docs show, and draw it anew
	$(BIN)/python benchmarks/gallery.py

studies: install ## run the studies of many seeds, and write docs/studies.md anew
	$(BIN)/python benchmarks/studies.py
