"""How good a network is, on given arithmetic: training, quantisation, analog crossbars."""
