package io.ucp.formats.torch.pickle;

/// A Python `str`. Equal by value; yet a pickle that refers to one `str` object twice gives one
/// node, which the writer writes once.
public final class PyText implements PickleValue {
    private final String value;

    private PyText(String value) {
        this.value = value;
    }

    public static PyText of(String value) {
        return new PyText(value);
    }

    public String value() {
        return value;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof PyText text && value.equals(text.value);
    }

    @Override
    public int hashCode() {
        return value.hashCode();
    }

    @Override
    public String toString() {
        return "'" + value + "'";
    }
}
