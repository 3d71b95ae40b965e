package io.ucp.formats.torch.pickle;

/// A class or function by its number in Python's `copyreg` extension registry (`EXT1`, `EXT2`,
/// `EXT4`). The registry is not in the file, so the number is all there is.
public record PyExtension(int code) implements PickleValue {}
