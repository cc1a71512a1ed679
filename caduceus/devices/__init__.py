"""PCM states from published device models: programming noise, drift, read noise, yield."""
