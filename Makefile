# Two commands set up everything on a fresh Debian, Ubuntu or Pi OS machine:
#   make demo   the runtime alone (no torch), a real clip through both families, and the comparison
#   make test   everything the tests need, and all tests
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
SUDO = $(shell [ "$$(id -u)" = 0 ] || echo sudo)
# What the tests need from the system: a virtual microphone, terminals to look at, C compilers and
# emulators of the processors that the engine is made for. Sanitizers of clang are a package of their
# own in some releases.
PACKAGES = libportaudio2 pulseaudio pulseaudio-utils libasound2-plugins tmux \
  gcc libc6-dev binutils gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm \
  gcc-aarch64-linux-gnu libc6-dev-arm64-cross gcc-arm-linux-gnueabihf libc6-dev-armhf-cross \
  debian-archive-keyring qemu-user clang

# The C engine of .esq files: an install compiles it where there is a compiler, here what follows an
# edit does.
ENGINE = $(wildcard firmware_sim/src/*.[ch] firmware_sim/include/*.h firmware_sim/host/*)

.PHONY: demo test lint fast clean models bench-text

$(BIN)/python:
	$(PYTHON) -m ensurepip --version >/dev/null 2>&1 || $(SUDO) apt-get install -y -qq python3-venv
	$(PYTHON) -m venv $(VENV)

$(VENV)/runtime.done: $(BIN)/python pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/dev.done: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]' -c constraints.txt
	touch $@

$(VENV)/system.done: $(BIN)/python
	$(SUDO) apt-get update -qq
	more=; apt-cache show libclang-rt-dev >/dev/null 2>&1 && more=libclang-rt-dev; \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(PACKAGES) $$more
	touch $@

$(VENV)/engine.done: $(VENV)/dev.done $(VENV)/system.done $(ENGINE)
	$(BIN)/python firmware_sim/host/build.py
	touch $@

# Debian calls it chromium, Ubuntu chromium-browser; machines of CI services often bring Chrome.
$(VENV)/browser.done: $(VENV)/system.done
	for name in chromium chromium-browser google-chrome; do command -v $$name && exit; done; \
	  apt-cache show chromium >/dev/null 2>&1 && name="chromium fonts-dejavu-core" || name=chromium-browser; \
	  $(SUDO) apt-get install -y -qq --no-install-recommends $$name
	touch $@

demo: $(VENV)/runtime.done
	$(BIN)/edgeseq stream --wav edgeseq/assets/clips/words.wav
	$(BIN)/edgeseq compare --wav edgeseq/assets/clips/words.wav --labels edgeseq/assets/clips/words.tsv

lint: $(VENV)/dev.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fast: $(VENV)/dev.done
	$(BIN)/pytest -q

test: lint $(VENV)/engine.done $(VENV)/browser.done
	$(BIN)/pytest -q -m ''

clean:
	rm -rf $(VENV) build dist edgeseq/_engine.abi3.so

# Trains the byte models of benchmarks/text.py, each for MINUTES of one core, and prints its table.
MINUTES ?= 30
bench-text: $(VENV)/engine.done
	$(BIN)/pip install --quiet --disable-pip-version-check pyppmd==1.3.1
	$(BIN)/python recipes/fetch_text.py --out $(AUDIO) --essays
	$(BIN)/python -m benchmarks.text_models --data $(AUDIO) --out runs/text --minutes $(MINUTES)
	$(BIN)/python -m benchmarks.text --data $(AUDIO) --models runs/text --json runs/text/table.json

# Trains and exports the bundled models anew. DATA holds the sets that recipes/README.md names.
OTHERS = vad-gru bytes-gru bytes-transformer
TRAIN = $(BIN)/edgeseq train --data $(DATA) --data $(AUDIO) --threads 1
AUDIO ?= runs/data
models: $(VENV)/dev.done
	$(SUDO) apt-get install -y -qq espeak-ng flite ancient
	$(BIN)/python recipes/fetch_audio.py --out $(AUDIO)
	$(BIN)/python recipes/fetch_text.py --out $(AUDIO)
	$(BIN)/pip install --quiet --disable-pip-version-check py-nanotts==0.1.1
	$(BIN)/python recipes/make_speech.py --text $(AUDIO)/text/moby-dick.txt --out $(AUDIO)
	$(BIN)/python recipes/make_voices.py --out $(AUDIO)/voices --packages runs/packages
	for name in gru transformer; do \
	  $(TRAIN) recipes/words-base-$$name.toml && $(TRAIN) recipes/words-$$name.toml \
	    --init runs/words-base-$$name/model.safetensors || exit 1; \
	done
	for name in $(OTHERS); do $(TRAIN) recipes/$$name.toml || exit 1; done
	for name in words-gru words-transformer $(OTHERS); do \
	  $(BIN)/edgeseq export runs/$$name/model.safetensors -o edgeseq/assets/$$name.onnx \
	    --quantize int8 --decoding recipes/$$name.toml || exit 1; \
	done
	$(BIN)/python recipes/make_clips.py --data $(DATA) --text $(AUDIO)
