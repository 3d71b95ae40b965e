package io.ucp.formats;

import java.util.Collections;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/// Where in the job something was held: an index on each named axis (`pp 1, tp 0`); axes that do
/// not matter are absent. A label that files carry; what the axes mean is the spec's.
public record Coordinate(Map<String, Integer> indices) {
    public static final Coordinate NONE = new Coordinate(Map.of());

    public Coordinate {
        indices = Collections.unmodifiableSortedMap(new TreeMap<>(indices));
    }

    public static Coordinate of(String axis, int index) {
        return new Coordinate(Map.of(axis, index));
    }

    /// The index on `axis`, 0 where the axis is absent.
    public int on(String axis) {
        return indices.getOrDefault(axis, 0);
    }

    public Coordinate with(String axis, int index) {
        Map<String, Integer> changed = new TreeMap<>(indices);
        changed.put(axis, index);
        return new Coordinate(changed);
    }

    public Coordinate without(String axis) {
        Map<String, Integer> changed = new TreeMap<>(indices);
        changed.remove(axis);
        return new Coordinate(changed);
    }

    /// `dp 0, tp 1`, or `everywhere` for no axis.
    @Override
    public String toString() {
        return indices.isEmpty()
                ? "everywhere"
                : indices.entrySet().stream()
                        .map(e -> e.getKey() + " " + e.getValue())
                        .collect(Collectors.joining(", "));
    }
}
