package io.ucp.formats.torch.pickle;

/// `None`.
public enum PyNone implements PickleValue {
    NONE;

    @Override
    public String toString() {
        return "None";
    }
}
