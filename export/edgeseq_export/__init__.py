"""From a checkpoint to an ONNX file that explains itself, and the proof that both are equal."""
