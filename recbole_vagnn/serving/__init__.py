"""What a trained model is good for afterwards: checkpoints without pickle, recommendations, vectors, fold-in."""
