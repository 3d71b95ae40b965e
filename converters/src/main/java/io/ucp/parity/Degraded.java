package io.ucp.parity;

import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.io.ByteSource;
import io.ucp.io.MemorySource;
import io.ucp.io.overlay.Overlay;
import io.ucp.parity.ParityManifest.Pointer;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/// A checkpoint of which files are lost, as if they were not.
public final class Degraded {
    private Degraded() {}

    /// `checkpoint` as a path through which lost files read as they were: they are decoded when and
    /// where they are read, and written nowhere. Lost is what is missing or of another length; use
    /// [Scrub] for damage that keeps a file's length.
    ///
    /// @throws IncompleteCheckpointException where more is lost than can be made up for
    public static Path open(Path checkpoint, Path parity) throws IOException {
        ProtectedCheckpoint opened = ProtectedCheckpoint.open(checkpoint, parity);
        List<Stripes> sets = opened.manifest().stripes();
        Set<StoredFile> lost = lost(opened);
        DecodedStripes decoded = new DecodedStripes(opened, sets, lost);
        requireEnough(opened, sets, decoded);
        Map<Path, ByteSource> files = new HashMap<>();
        for (int s = 0; s < sets.size(); s++) {
            ParitySet set = sets.get(s).set();
            for (int m = 0; m < set.members().size(); m++) {
                List<StoredFile> ofMember = set.members().get(m).files();
                for (int f = 0; f < ofMember.size(); f++) {
                    StoredFile file = ofMember.get(f);
                    if (lost.contains(file)) {
                        Path path = opened.base().resolve(file.path());
                        Stripe first = new Stripe(s, sets.get(s).of(m, f).from());
                        files.put(path, new LostFile(path, file, decoded, sets.get(s), first, m));
                    }
                }
            }
        }
        for (Pointer pointer : opened.manifest().pointers()) {
            Path path = opened.base().resolve(pointer.path());
            if (Files.notExists(path)) {
                byte[] text = pointer.text().getBytes(StandardCharsets.UTF_8);
                files.put(path, new MemorySource(path, text));
            }
        }
        return files.isEmpty() ? checkpoint : Overlay.of(checkpoint, files);
    }

    private static Set<StoredFile> lost(ProtectedCheckpoint opened) throws IOException {
        Set<StoredFile> lost = new HashSet<>();
        for (ParitySet set : opened.manifest().sets()) {
            for (ParitySet.Member member : set.members()) {
                for (StoredFile file : member.files()) {
                    if (file.isLost(opened.base().resolve(file.path()))) {
                        lost.add(file);
                    }
                }
            }
            for (StoredFile file : set.parity()) {
                if (file.isLost(opened.parity().resolve(file.path()))) {
                    lost.add(file);
                }
            }
        }
        return lost;
    }

    private static void requireEnough(
            ProtectedCheckpoint opened, List<Stripes> sets, DecodedStripes decoded)
            throws IncompleteCheckpointException {
        Shortfall shortfall = new Shortfall(opened);
        for (Stripe at : StripeRun.all(sets)) {
            Stripes stripes = sets.get(at.set());
            shortfall.add(stripes, at.index(), decoded.lost(at).stream().toArray());
        }
        if (!shortfall.isEmpty()) {
            throw shortfall.refusal();
        }
    }
}
