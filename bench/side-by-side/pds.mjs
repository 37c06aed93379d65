// The reference PDS, in a process of its own so that its processor time is its own. It reads PDS_* from the environment.
import { PDS } from '@atproto/pds'

await PDS.run()
