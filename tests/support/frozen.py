"""The last that `preloaded` imports: what is there by now is the same in every server, so no collector walks it again.

Else the first collection in each server touches, and so copies, all that it shares with the others.
"""

import gc

gc.collect()
gc.freeze()
