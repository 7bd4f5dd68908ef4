"""What a model is trained on: mixtures of real and generated data, and the rules that make them."""
