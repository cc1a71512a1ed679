"""From the files that people have to a network: ONNX, safetensors."""
