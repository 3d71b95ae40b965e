package io.ucp.parity;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.Coordinate;
import io.ucp.layout.ImpossibleLayoutException;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/// What is lost together, and whose parity goes where.
public sealed interface Grouping {
    /// Whichever files: they are dealt out over the members of one set, the largest first.
    record ByFile() implements Grouping {
        @Override
        public String toString() {
            return "files";
        }
    }

    /// The ranks that differ only on an axis form a group; each of them is lost by itself.
    record ByAxis(String axis) implements Grouping {
        @Override
        public String toString() {
            return axis;
        }
    }

    /// All nodes form one group; a node has so many ranks, which are numbered through the mesh, its
    /// last axis fastest.
    record ByNode(int ranks) implements Grouping {
        @Override
        public String toString() {
            return "node=" + ranks;
        }
    }

    Pattern NODE = Pattern.compile("node=([1-9][0-9]{0,5})");
    Pattern AXIS = Pattern.compile("[a-z][a-z0-9_]*");

    /// As `--group` has it; empty where it is nothing of the kind.
    static Optional<Grouping> parse(String text) {
        Matcher node = NODE.matcher(text);
        if (node.matches()) {
            return Optional.of(new ByNode(Integer.parseInt(node.group(1))));
        }
        if (text.equals("files")) {
            return Optional.of(new ByFile());
        }
        return AXIS.matcher(text).matches() && !text.equals("node")
                ? Optional.of(new ByAxis(text))
                : Optional.empty();
    }

    /// A set that is to be: paths in place of files.
    ///
    /// @param holders for each parity file the folder that it goes to: that of a node (or rank)
    ///   outside of the set, or a spare one
    record Draft(String name, List<Part> members, List<String> holders) {}

    /// A member that is to be.
    record Part(String name, List<String> paths) {}

    /// @throws ImpossibleLayoutException where the checkpoint has no such groups
    default List<Draft> drafts(Listing listing, int data, int parity) {
        if (this instanceof ByFile) {
            return List.of(byFile(listing, data, parity));
        }
        Map<String, TreeMap<Integer, List<String>>> groups = new TreeMap<>();
        listing.files()
                .forEach(
                        (path, file) ->
                                groups.computeIfAbsent(
                                                group(file.at(), listing), _ -> new TreeMap<>())
                                        .computeIfAbsent(
                                                unit(file.at(), listing), _ -> new ArrayList<>())
                                        .add(path));
        List<Draft> drafts = new ArrayList<>();
        groups.forEach((name, units) -> drafts.addAll(cut(name, units, listing, data, parity)));
        return drafts;
    }

    private static Draft byFile(Listing listing, int data, int parity) {
        List<List<String>> members = new ArrayList<>();
        long[] sizes = new long[Math.min(data, listing.files().size())];
        for (int k = 0; k < sizes.length; k++) {
            members.add(new ArrayList<>());
        }
        for (String path : bySize(listing.files().keySet().stream().toList(), listing)) {
            int least = 0;
            for (int k = 1; k < sizes.length; k++) {
                boolean less =
                        sizes[k] == sizes[least]
                                ? members.get(k).size() < members.get(least).size()
                                : sizes[k] < sizes[least];
                least = less ? k : least;
            }
            members.get(least).add(path);
            sizes[least] += listing.size(path);
        }
        List<Part> parts = new ArrayList<>();
        for (int k = 0; k < sizes.length; k++) {
            parts.add(new Part("part " + k, members.get(k)));
        }
        return new Draft("", parts, spares(parity, 0));
    }

    /// Files of a size lie beside each other, so that stripes are even.
    private static List<String> bySize(List<String> paths, Listing listing) {
        return paths.stream()
                .sorted(
                        Comparator.comparingLong((String path) -> -listing.size(path))
                                .thenComparing(Comparator.naturalOrder()))
                .toList();
    }

    private static List<String> spares(int parity, int from) {
        List<String> names = new ArrayList<>();
        for (int r = from; r < parity; r++) {
            names.add("spare-" + r);
        }
        return names;
    }

    private String group(Coordinate at, Listing listing) {
        return switch (this) {
            case ByFile(), ByNode _ -> "";
            case ByAxis(String axis) ->
                    axes(listing).stream()
                            .filter(a -> a.degree() > 1 && !a.axis().equals(axis))
                            .map(a -> a.axis() + " " + index(at, a.axis(), listing))
                            .collect(Collectors.joining(", "));
        };
    }

    /// The axes that number the ranks: those of experts are among those of `dp`.
    private static List<AxisDegree> axes(Listing listing) {
        boolean dense = listing.mesh().stream().anyMatch(a -> a.axis().equals("dp"));
        return listing.mesh().stream()
                .filter(a -> !dense || !(a.axis().equals("ep") || a.axis().equals("edp")))
                .toList();
    }

    /// On axes that a file does not name it is at 0: the first of them wrote it.
    private static int index(Coordinate at, String axis, Listing listing) {
        if (axis.equals("dp") && !at.indices().containsKey("dp")) {
            return at.on("edp") * degree("ep", listing) + at.on("ep");
        }
        return at.on(axis);
    }

    private static int degree(String axis, Listing listing) {
        return listing.opened().index().degree(axis);
    }

    private int unit(Coordinate at, Listing listing) {
        return switch (this) {
            case ByFile() -> 0;
            case ByAxis(String axis) -> {
                requireAxis(axis, listing);
                yield index(at, axis, listing);
            }
            case ByNode(int ranks) -> rank(at, listing) / ranks;
        };
    }

    private static void requireAxis(String axis, Listing listing) {
        if (listing.mesh().stream().noneMatch(a -> a.axis().equals(axis) && a.degree() > 1)) {
            String axes =
                    listing.mesh().stream()
                            .filter(a -> a.degree() > 1)
                            .map(AxisDegree::axis)
                            .collect(Collectors.joining(", "));
            throw new ImpossibleLayoutException(
                    "--group %s: the job had one rank on that axis".formatted(axis),
                    axes.isEmpty()
                            ? "no --group: any files can then be lost"
                            : "one of its axes: " + axes);
        }
    }

    /// A rank's number.
    private static int rank(Coordinate at, Listing listing) {
        int rank = 0;
        for (AxisDegree axis : axes(listing)) {
            rank = rank * axis.degree() + index(at, axis.axis(), listing);
        }
        return rank;
    }

    private String label(int unit) {
        return switch (this) {
            case ByFile() -> "part " + unit;
            case ByAxis(String axis) -> axis + " " + unit;
            case ByNode _ -> "node " + unit;
        };
    }

    /// Sets of neighbours, as even as can be. Each set's parity goes to units of the other sets of
    /// the group, a unit to a parity file, so that losing `parity` units costs a set at most as
    /// many of its blocks; what finds no unit goes to spare folders.
    private List<Draft> cut(
            String name, Map<Integer, List<String>> units, Listing listing, int data, int parity) {
        List<Integer> all = new ArrayList<>(units.keySet());
        int count = Math.ceilDiv(all.size(), data);
        List<Draft> drafts = new ArrayList<>();
        for (int s = 0; s < count; s++) {
            int from = (int) ((long) all.size() * s / count);
            int to = (int) ((long) all.size() * (s + 1) / count);
            List<Part> members =
                    all.subList(from, to).stream()
                            .map(
                                    u ->
                                            new Part(
                                                    label(u),
                                                    bySize(
                                                            units.getOrDefault(u, List.of()),
                                                            listing)))
                            .toList();
            List<String> holders = new ArrayList<>();
            int outside = all.size() - members.size();
            for (int k = 0; k < Math.min(parity, outside); k++) {
                int holder = (to + (s * parity + k) % outside) % all.size();
                holders.add(label(all.get(holder)).replace(' ', '-'));
            }
            holders.addAll(spares(parity, holders.size()));
            drafts.add(new Draft(setName(name, members, count), members, holders));
        }
        return drafts;
    }

    private static String setName(String group, List<Part> members, int count) {
        String range =
                count == 1
                        ? ""
                        : "%s to %s".formatted(members.getFirst().name(), members.getLast().name());
        return group + (group.isEmpty() || range.isEmpty() ? "" : ", ") + range;
    }
}
