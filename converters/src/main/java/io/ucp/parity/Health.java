package io.ucp.parity;

import io.ucp.parity.BlockReader.Finding;
import io.ucp.parity.Stripes.Block;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.Comparator;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/// What of a protected checkpoint and its parity is missing or damaged, block by block.
public final class Health {
    private final ProtectedCheckpoint checkpoint;
    private final List<Stripes> sets;

    /// By stripe, the elements whose block is lost.
    private final Map<Stripe, BitSet> lost = new LinkedHashMap<>();

    private final Map<StoredFile, Damage> damages = new LinkedHashMap<>();
    private final List<FileDamage> manifests = new ArrayList<>();
    private final Set<Path> written = new HashSet<>();
    private long bytes;

    Health(ProtectedCheckpoint checkpoint, List<Stripes> sets) {
        this.checkpoint = checkpoint;
        this.sets = sets;
    }

    /// A file that is not as it was protected.
    ///
    /// @param path as it lies on disk
    /// @param parity whether it is of the parity
    /// @param written whether somebody wrote it since: of the checkpoint only
    /// @param what in words
    /// @param ranges the damaged bytes, in order; of a missing file all
    public record FileDamage(
            Path path, boolean parity, boolean written, String what, List<ByteSpan> ranges) {
        public FileDamage {
            ranges = List.copyOf(ranges);
        }
    }

    /// Bytes `[from, to)` of a file.
    public record ByteSpan(long from, long to) {}

    private record Damage(int set, int element, List<Bad> blocks) {}

    private record Bad(Block block, Finding finding) {}

    synchronized void add(Stripe at, Block block, Finding finding) {
        lost.computeIfAbsent(at, _ -> new BitSet()).set(block.element());
        damages.computeIfAbsent(
                        block.file(), _ -> new Damage(at.set(), block.element(), new ArrayList<>()))
                .blocks()
                .add(new Bad(block, finding));
    }

    /// A file that is wrong as a whole though its blocks are whole: an empty one that is missing,
    /// or one with bytes behind its end.
    synchronized void add(int set, int element, StoredFile file) {
        damages.putIfAbsent(file, new Damage(set, element, new ArrayList<>()));
    }

    /// A copy of the manifest that is missing or not like the one that was read.
    synchronized void addManifest(Path copy) {
        manifests.add(
                new FileDamage(
                        copy,
                        true,
                        false,
                        Files.exists(copy)
                                ? "another manifest than " + checkpoint.manifestFile()
                                : "missing",
                        List.of()));
    }

    /// A file that is not as it was protected, since somebody wrote it after that.
    synchronized void addWritten(Path path) {
        written.add(path);
    }

    synchronized void count(long read) {
        bytes += read;
    }

    /// Read to find out.
    public long bytes() {
        return bytes;
    }

    public boolean whole() {
        return damages.isEmpty() && manifests.isEmpty();
    }

    ProtectedCheckpoint checkpoint() {
        return checkpoint;
    }

    List<Stripes> sets() {
        return sets;
    }

    BitSet lost(Stripe at) {
        return lost.getOrDefault(at, new BitSet());
    }

    boolean isDamaged(StoredFile file) {
        return damages.containsKey(file);
    }

    /// The files, with the set and the element that they belong to.
    List<Place> places() {
        return damages.entrySet().stream()
                .map(e -> new Place(e.getValue().set(), e.getValue().element(), e.getKey()))
                .toList();
    }

    record Place(int set, int element, StoredFile file) {}

    /// Where more is lost than can be made up for.
    Shortfall shortfall() {
        Shortfall shortfall = new Shortfall(checkpoint);
        lost.forEach(
                (at, elements) ->
                        shortfall.add(sets.get(at.set()), at.index(), elements.stream().toArray()));
        return shortfall;
    }

    /// Whether every file can be rebuilt.
    public boolean repairable() {
        return shortfall().isEmpty();
    }

    /// Which files would be enough where not every one can be rebuilt.
    public Optional<String> missing() {
        Shortfall shortfall = shortfall();
        return shortfall.isEmpty() ? Optional.empty() : Optional.of(shortfall.remedy());
    }

    /// Sorted by path.
    public List<FileDamage> damages() {
        List<FileDamage> out = new ArrayList<>(manifests);
        damages.forEach((file, damage) -> out.add(damage(file, damage)));
        out.sort(Comparator.comparing(FileDamage::path));
        return out;
    }

    private FileDamage damage(StoredFile file, Damage damage) {
        ParitySet set = sets.get(damage.set()).set();
        List<Bad> blocks = new ArrayList<>(damage.blocks());
        blocks.sort(Comparator.comparingInt(bad -> bad.block().index()));
        List<ByteSpan> ranges = new ArrayList<>();
        for (Bad bad : blocks) {
            long from = bad.block().offset();
            long to = from + bad.block().length();
            boolean joins = !ranges.isEmpty() && ranges.getLast().to() == from;
            long start = joins ? ranges.removeLast().from() : from;
            ranges.add(new ByteSpan(start, to));
        }
        Path path = checkpoint.path(set, damage.element(), file);
        boolean since = written.contains(path);
        return new FileDamage(
                path,
                damage.element() >= set.members().size(),
                since,
                what(file, blocks) + (since ? "; written since it was protected" : ""),
                ranges);
    }

    private static String what(StoredFile file, List<Bad> blocks) {
        if (blocks.isEmpty()) {
            return file.size() == 0
                    ? "missing, or no longer empty"
                    : "longer than the %d bytes that it had".formatted(file.size());
        }
        Bad first = blocks.getFirst();
        return switch (first.finding()) {
            case MISSING -> "missing";
            case SHORT -> "shorter than the %d bytes that it had".formatted(file.size());
            case UNREADABLE -> "unreadable at byte %d".formatted(first.block().offset());
            case DAMAGED, WHOLE ->
                    "damaged in %d of %d blocks, the first at byte %d"
                            .formatted(
                                    blocks.size(), file.blocks().count(), first.block().offset());
        };
    }
}
