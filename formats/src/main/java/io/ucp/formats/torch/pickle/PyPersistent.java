package io.ucp.formats.torch.pickle;

import java.util.List;

/// An object kept outside the pickle, by its persistent id. torch names storages so: `('storage',
/// torch.FloatStorage, '0', 'cpu', 12)`.
public final class PyPersistent extends PyContainer {
    private final PickleValue id;

    private PyPersistent(PickleValue id) {
        this.id = id;
    }

    public static PyPersistent of(PickleValue id) {
        return new PyPersistent(id);
    }

    public PickleValue id() {
        return id;
    }

    @Override
    public List<PickleValue> children() {
        return List.of(id);
    }

    @Override
    public String toString() {
        return "persistent " + id;
    }
}
