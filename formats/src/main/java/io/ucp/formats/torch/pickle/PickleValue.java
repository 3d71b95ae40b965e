package io.ucp.formats.torch.pickle;

/// A node of a pickled object, as data. (Placeholder until the torch branch lands.)
public interface PickleValue {}
