package io.ucp.formats.torch.pickle;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/// The objects that a pickle may refer to again, by number. Picklers number them from 0 on; a
/// number out of turn costs a map entry, never an array of that length.
final class PickleMemo {
    private final List<PickleValue> inTurn = new ArrayList<>();
    private final Map<Integer, PickleValue> outOfTurn = new HashMap<>();

    int size() {
        return inTurn.size() + outOfTurn.size();
    }

    void put(int index, PickleValue value) {
        if (index < inTurn.size()) {
            inTurn.set(index, value);
        } else if (index == inTurn.size() && !outOfTurn.containsKey(index)) {
            inTurn.add(value);
        } else {
            outOfTurn.put(index, value);
        }
    }

    @Nullable PickleValue get(int index) {
        return index < inTurn.size() ? inTurn.get(index) : outOfTurn.get(index);
    }
}
