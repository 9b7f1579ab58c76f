"""Once-for-all training of CNNs by Delayed epsilon-Shrinking (arXiv 2407.06167) in JAX.

Read in this order: space, subnet, layers, elastic, dispatch, supernet, distill, methods, shrink,
sort, train, evaluate; then network, onnx_writer, cost, latency, predictor, search, export.
"""
