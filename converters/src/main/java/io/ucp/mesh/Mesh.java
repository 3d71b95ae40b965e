package io.ucp.mesh;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.Coordinate;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import java.util.function.Predicate;

/// The ranks of a job as a grid: axes outermost first, each with its degree; a rank is one
/// coordinate.
///
/// A product is a name for several axes together, outermost first: `dp = (edp, ep)` has the degree
/// `edp * ep`, and its index is `edp's index * ep + ep's index`. An axis that the mesh lacks has
/// degree 1.
///
/// @param axes that are no products
/// @param products name -> its axes, outermost first
public record Mesh(List<AxisDegree> axes, Map<String, List<String>> products) {
    public Mesh {
        axes = List.copyOf(axes);
        products = Collections.unmodifiableMap(new LinkedHashMap<>(products));
        Set<String> names = new HashSet<>();
        for (AxisDegree axis : axes) {
            if (axis.degree() < 1) {
                throw new IllegalArgumentException(
                        "axis %s has degree %d; expected 1 or more"
                                .formatted(axis.axis(), axis.degree()));
            }
            if (!names.add(axis.axis())) {
                throw new IllegalArgumentException("axis " + axis.axis() + " is there twice");
            }
        }
        products.forEach(
                (product, factors) -> {
                    if (names.contains(product)) {
                        throw new IllegalArgumentException("axis " + product + " is there twice");
                    }
                    if (factors.isEmpty() || !names.containsAll(factors)) {
                        throw new IllegalArgumentException(
                                "%s = %s; expected axes of the mesh".formatted(product, factors));
                    }
                });
    }

    public static Mesh of(AxisDegree... axes) {
        return new Mesh(List.of(axes), Map.of());
    }

    /// Whether it is an axis or a product of this mesh.
    public boolean has(String name) {
        return products.containsKey(name) || axes.stream().anyMatch(a -> a.axis().equals(name));
    }

    /// The axes behind a name: those of a product, else the axis itself.
    public List<String> factors(String name) {
        return products.getOrDefault(name, List.of(name));
    }

    /// Ranks along an axis or a product; 1 where the mesh lacks it.
    public int degree(String name) {
        int degree = 1;
        for (String factor : factors(name)) {
            for (AxisDegree axis : axes) {
                if (axis.axis().equals(factor)) {
                    degree *= axis.degree();
                }
            }
        }
        return degree;
    }

    /// Ranks of the job.
    public int size() {
        return axes.stream().mapToInt(AxisDegree::degree).reduce(1, Math::multiplyExact);
    }

    /// The index of a coordinate along an axis or a product. A product may be labelled itself or by
    /// its axes, and an axis by a product that holds it; empty where the coordinate says neither.
    public OptionalInt index(String name, Coordinate at) {
        Integer own = at.indices().get(name);
        if (own != null) {
            return OptionalInt.of(own);
        }
        if (products.containsKey(name)) {
            int index = 0;
            for (String factor : factors(name)) {
                Integer i = at.indices().get(factor);
                if (i == null) {
                    return OptionalInt.empty();
                }
                index = index * degree(factor) + i;
            }
            return OptionalInt.of(index);
        }
        for (var product : products.entrySet()) {
            Integer index = at.indices().get(product.getKey());
            if (index != null && product.getValue().contains(name)) {
                return OptionalInt.of(factorIndex(product.getValue(), name, index));
            }
        }
        return OptionalInt.empty();
    }

    private int factorIndex(List<String> factors, String name, int index) {
        int inner = 1;
        for (String factor : factors.subList(factors.indexOf(name) + 1, factors.size())) {
            inner *= degree(factor);
        }
        return index / inner % degree(name);
    }

    /// Every coordinate on some axes or products, the first varying slowest.
    public List<Coordinate> coordinates(List<String> names) {
        return coordinates(names, _ -> true);
    }

    /// Those of which `may` is true, and was of the same without its last axes.
    public List<Coordinate> coordinates(List<String> names, Predicate<Coordinate> may) {
        List<Coordinate> all = List.of(Coordinate.NONE);
        for (String name : names) {
            int degree = degree(name);
            List<Coordinate> next = new ArrayList<>();
            for (Coordinate at : all) {
                for (int i = 0; i < degree; i++) {
                    Coordinate further = at.with(name, i);
                    if (may.test(further)) {
                        next.add(further);
                    }
                }
            }
            all = next;
        }
        return all;
    }

    /// The number of the rank at a full coordinate, the last axis varying fastest.
    public int rank(Coordinate at) {
        int rank = 0;
        for (AxisDegree axis : axes) {
            int index = index(axis.axis(), at).orElse(0);
            if (index < 0 || index >= axis.degree()) {
                throw new IllegalArgumentException(
                        "%s %d; expected less than %d"
                                .formatted(axis.axis(), index, axis.degree()));
            }
            rank = rank * axis.degree() + index;
        }
        return rank;
    }

    /// The coordinate of a rank, on every axis.
    public Coordinate coordinate(int rank) {
        Coordinate at = Coordinate.NONE;
        int rest = rank;
        for (AxisDegree axis : axes.reversed()) {
            at = at.with(axis.axis(), rest % axis.degree());
            rest /= axis.degree();
        }
        if (rest != 0 || rank < 0) {
            throw new IllegalArgumentException("rank " + rank + " of " + size());
        }
        return at;
    }
}
