# make demo: set up, prepare digits, sweep, retrain, report — minutes on two cores, no GPU.
# make test: set up and run the tests, in two processes on two cores. make check: ruff and mypy.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
DEMO := demo

.PHONY: demo test check clean-demo

$(VENV)/.runtime: requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] < (3, 11) and "Raretune needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.runtime
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

demo: $(VENV)/.runtime clean-demo
	$(RUN) -m trainables demo-photos $(DEMO)/photos
	$(RUN) -m trainables prepare $(DEMO)/photos $(DEMO)/dataset
	$(RUN) -m search run search/sweeps/digits_demo.yaml --yes --set dataset=$(DEMO)/dataset --experiment $(DEMO)/experiment
	$(RUN) -m trainables retrain $(DEMO)/experiment/best.json
	$(RUN) -m analysis report $(DEMO)/experiment
	@echo
	@echo "report       $(CURDIR)/$(DEMO)/experiment/report/index.html"
	@echo "model        $(CURDIR)/$(DEMO)/experiment/final/model.keras"
	@echo "dashboards   $(RUN) -m analysis dashboard $(DEMO)/experiment"

clean-demo:
	rm -rf $(DEMO)

test: $(VENV)/.dev
	$(RUN) -m pytest -n 2

check: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
