# Everything but the canary happens in .venv, which the first target that needs it makes.
#   make train CONFIG=configs/and.yaml ARGS='--trainer.max_epochs 3'

PYTHON ?= python3
CONFIG ?= configs/xor.yaml
ARGS ?=
WHICH ?= oldest newest
HOLD ?=
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help install train test check attack lint types format bench canary tensorboard clean
.PHONY: canary-oldest canary-newest experiments gallery studies new audit

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: .venv/installed ## make .venv with the package and what its development needs

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "perceptrons needs Python 3.11 or newer")'
	$(PYTHON) -m venv .venv
	@echo 'installing torch, Lightning and the rest into .venv: some minutes'
	$(BIN)/pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

train: install ## train CONFIG (configs/xor.yaml), with any further flags in ARGS
	$(BIN)/perceptrons fit --config $(CONFIG) $(ARGS)

test: install ## run the tests, but for some slow ones
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

check: ARGS := -m 'not attack' $(ARGS)
check: lint types test ## all that must pass before a commit lands, slow tests too

attack: install ## kill, race, mutate and fill disks, for some twenty minutes
	$(BIN)/pytest -n auto -m attack $(ARGS) tests/attack
	$(BIN)/pytest -n auto $(ARGS) tests/lab/runs/test_trust.py

lint: install ## look for mistakes and for formatting that is off
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/biome check --error-on-warnings src

types: install ## check the types
	$(BIN)/mypy

format: install ## put formatting and imports right
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/biome check --write src

bench: install ## time it against loops by hand, scikit-learn, Lightning and JAX: ten minutes
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/any_module.py

# HOLD='torch==2.13.0' holds a version; WHICH=oldest tries one of the two. Types are checked
# with the versions of constraints.txt alone: libraries' own change with every release.
canary: $(WHICH:%=canary-%) ## run the tests with the oldest versions allowed, and with the newest

RESOLUTION_oldest := lowest-direct
RESOLUTION_newest := highest
BUT_oldest := -k 'not types'

canary-oldest canary-newest: canary-%:
	$(PYTHON) -m venv --clear build/$@
	build/$@/bin/pip install --quiet --disable-pip-version-check uv
	printf '%s\n' $(HOLD) > build/$@/held.txt
	build/$@/bin/uv pip compile --quiet --extra dev --resolution $(RESOLUTION_$*) \
		--python build/$@/bin/python --constraint build/$@/held.txt \
		--output-file build/$@/versions.txt pyproject.toml
	build/$@/bin/pip install --quiet --disable-pip-version-check -c build/$@/versions.txt -e '.[dev]'
	build/$@/bin/pip freeze --exclude-editable
	build/$@/bin/pytest -n auto --dist loadfile $(BUT_$*) $(ARGS)

tensorboard: install ## look at the runs, on this machine only
	@echo 'http://localhost:6006/?smoothing=0#timeseries&_smoothingWeight=0 (nothing is smoothed), unless another port is said below'
	$(BIN)/tensorboard --logdir lightning_logs --host localhost --samples_per_plugin images=100 $(ARGS)

clean: ## remove .venv and caches; runs stay
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

experiments: install ## run every published experiment and compare the figures
	$(BIN)/python benchmarks/experiments.py

gallery: install ## train what the README and the docs show, and draw it anew
	$(BIN)/python benchmarks/gallery.py

studies: install ## run the studies of many seeds, and write docs/studies.md anew
	$(BIN)/python benchmarks/studies.py

new: install ## make a project of your own: NAME=my_study DEST=../my-study, and LAB=dependency EXAMPLES=true
	$(BIN)/copier copy --defaults --vcs-ref HEAD $(if $(NAME),--data name=$(NAME)) \
		$(if $(LAB),--data lab=$(LAB)) $(if $(EXAMPLES),--data examples=$(EXAMPLES)) $(CURDIR) $(DEST)

audit: ## look for known vulnerabilities in the versions of constraints.txt
	$(PYTHON) -m venv build/audit
	build/audit/bin/pip install --quiet --disable-pip-version-check pip-audit
	build/audit/bin/pip-audit --strict --requirement constraints.txt --no-deps --disable-pip
