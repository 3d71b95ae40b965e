package io.ucp.formats.torch.pickle;

/// `True` or `False`.
public record PyBool(boolean value) implements PickleValue {
    @Override
    public String toString() {
        return value ? "True" : "False";
    }
}
