package io.ucp.formats.torch;

/// Numbers the storages of a container as `torch.save` does: `0`, `1`, .. in the order in which the
/// pickle first names them.
public final class StorageKeys {
    private int next;

    public String next() {
        return Integer.toString(next++);
    }
}
