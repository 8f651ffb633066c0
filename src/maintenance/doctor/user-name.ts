/** The user of this process, for messages about permissions. */
export const userName = (): string => (process.getuid === undefined ? 'this user' : `user ${process.getuid()}`);
