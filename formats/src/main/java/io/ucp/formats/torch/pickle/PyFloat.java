package io.ucp.formats.torch.pickle;

/// A Python `float`: a double, NaN payloads included.
public record PyFloat(double value) implements PickleValue {
    @Override
    public String toString() {
        return Double.toString(value);
    }
}
