package io.ucp.formats.megatrondist;

import io.ucp.formats.RefusedException;
import io.ucp.formats.TargetTree;
import io.ucp.formats.WriteRequest;

final class DistTree {
    static TargetTree of(WriteRequest request) {
        throw new RefusedException(request.tag(), "no", "yes", "");
    }
}
