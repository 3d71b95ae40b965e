package io.ucp.formats.torch.pickle;

import io.ucp.io.MalformedFileException;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;

/// The reader's stack with its marks; nothing is taken from below the last mark.
final class PickleStack {
    private final PickleBytes in;
    private final List<PickleValue> values = new ArrayList<>();
    private final List<Integer> marks = new ArrayList<>();

    PickleStack(PickleBytes in) {
        this.in = in;
    }

    void push(PickleValue value) {
        values.add(value);
    }

    void mark() {
        marks.add(values.size());
    }

    PickleValue top() throws MalformedFileException {
        require(1);
        return values.getLast();
    }

    /// The top, or null where nothing is above the last mark.
    @Nullable PickleValue peek() {
        return values.size() > floor() ? values.getLast() : null;
    }

    PickleValue pop() throws MalformedFileException {
        require(1);
        return values.removeLast();
    }

    /// The last `count` values, in the order they were pushed.
    List<PickleValue> pop(int count) throws MalformedFileException {
        require(count);
        return cut(values.size() - count);
    }

    List<PickleValue> popToMark() throws MalformedFileException {
        if (marks.isEmpty()) {
            throw in.malformed("no mark on the stack", "a mark", "the pickle is damaged");
        }
        return cut(marks.removeLast());
    }

    /// Removes a mark that is on top of the stack, as Python's `POP` does.
    boolean dropMark() {
        if (!marks.isEmpty() && marks.getLast() == values.size()) {
            marks.removeLast();
            return true;
        }
        return false;
    }

    private List<PickleValue> cut(int from) {
        PickleValue[] taken = new PickleValue[values.size() - from];
        for (int i = taken.length - 1; i >= 0; i--) {
            taken[i] = values.removeLast();
        }
        return List.of(taken);
    }

    private int floor() {
        return marks.isEmpty() ? 0 : marks.getLast();
    }

    private void require(int count) throws MalformedFileException {
        if (values.size() - floor() < count) {
            throw in.malformed(
                    "%d values on the stack".formatted(values.size() - floor()),
                    "%d".formatted(count),
                    "the pickle is damaged; copy the file again from where it was written");
        }
    }
}
