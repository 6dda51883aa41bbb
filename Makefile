# What people and CI type. Each target sets up what it needs; the lines themselves are in scripts/.
.PHONY: help demo test test-heavy test-clients test-faults soak lint bench growth docs site clean

help:
	@echo "make demo         serve real models, ask one question, say what to try"
	@echo "make test         every test but the faults"
	@echo "make test-heavy   the runtimes of large libraries, in .venv-heavy"
	@echo "make test-clients the clients that others wrote, each in build/clients"
	@echo "make test-faults  the tests that break things on purpose, and the mutants"
	@echo "make soak         mixed traffic with every fault (MINUTES=60)"
	@echo "make lint         format, lint, types"
	@echo "make bench        measure beside the peers (ONLY=name for a part, ONLY=--faults under fault)"
	@echo "make growth       how cost grows: workers, connections, models, bodies"
	@echo "make docs         write docs/reference from the code"
	@echo "make site         build the docs as a site into build/site"

install:
	@scripts/install
.PHONY: install

demo: install
	@scripts/demo

test: install
	@scripts/test
	@scripts/e2e
	@scripts/browser

test-heavy:
	@scripts/heavy

test-clients: install
	@scripts/clients

test-faults: install
	@scripts/faults

soak: install
	@scripts/soak $(MINUTES)

lint: install
	@scripts/lint

bench: install
	@scripts/bench $(ONLY)

growth: install
	@scripts/bench growth

docs: install
	@scripts/docs

site:
	@scripts/site

clean:
	rm -rf .venv .venv-heavy .venv-docs build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
